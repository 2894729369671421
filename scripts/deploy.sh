#!/usr/bin/env bash
# The steps of .github/workflows/deploy.yml and destroy.yml. They also work by hand, with AWS credentials.
# ENVIRONMENT, AWS_REGION and STATE_BUCKET name the place; TFVARS, a JSON object, has more Terraform variables.
#   find-image   the digest of RELEASE's image, which must be signed by our release workflow   (REGISTRY_TOKEN)
#   plan         what an apply would change                                                    (DIGEST)
#   apply        image into ECR, then everything; prints the API's url                         (DIGEST, REGISTRY_TOKEN)
#   destroy      everything; protected resources only with WITH_DATA=true
#   up [STAGE]   all stages in their order, or one; repeat it as you like (DIGEST, for machines; RELEASE and
#                REGISTRY_TOKEN copy its image first)
#   down [STAGE] all stages but 0-bootstrap in the reverse order, or one, with their data; asks, or takes CONFIRM
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/stages.sh

image() { echo "ghcr.io/${GITHUB_REPOSITORY,,}"; }

log_in() { docker login ghcr.io --username "$GITHUB_ACTOR" --password-stdin <<<"$REGISTRY_TOKEN" >/dev/null; }

say() { echo "$1" | tee -a "${GITHUB_OUTPUT:-/dev/null}"; }

terraform_() { terraform -chdir=terraform "$@"; }

# Each environment has its own state, so its place is not in the repository.
init() {
  printf 'terraform {\n  backend "s3" {}\n}\n' >terraform/backend.tf
  printf '%s\n' "${TFVARS:-{\}}" >terraform/ci.auto.tfvars.json
  export TF_IN_AUTOMATION=1 TF_INPUT=0 TF_VAR_environment=$ENVIRONMENT TF_VAR_region=$AWS_REGION
  terraform_ init -backend-config="bucket=$STATE_BUCKET" -backend-config="key=price-aggregator/$ENVIRONMENT.tfstate" \
    -backend-config="region=$AWS_REGION" -backend-config=encrypt=true -backend-config=use_lockfile=true
  [ "$(terraform_ output -json switches 2>/dev/null | jq --raw-output .staged 2>/dev/null)" != true ] ||
    fail "$ENVIRONMENT is made in stages: use up and down"
}

find_image() {
  [[ $RELEASE =~ ^v[0-9]+\.[0-9]+\.[0-9]+$ ]] || { echo "a release is called like v0.1.0, not $RELEASE" >&2; exit 1; }
  log_in
  local digest
  digest=$(docker buildx imagetools inspect "$(image):$RELEASE" --format '{{ .Manifest.Digest }}')
  cosign verify "$(image)@$digest" --certificate-oidc-issuer https://token.actions.githubusercontent.com \
    --certificate-identity "$GITHUB_SERVER_URL/$GITHUB_REPOSITORY/.github/workflows/release.yml@refs/tags/$RELEASE" >/dev/null
  say "digest=$digest"
}

plan() {
  init
  TF_VAR_image_digest=$DIGEST terraform_ plan -lock=false # a read-only role cannot lock
}

repository() { terraform_ output -json repositories 2>/dev/null | jq --raw-output .aggregator; }

# Copy the image into the environment's own registry, which its machines can read. The digest is the signed one.
copy_image() {
  local to=$1
  log_in
  aws ecr get-login-password | docker login "${to%%/*}" --username AWS --password-stdin >/dev/null
  aws ecr describe-images --repository-name "${to#*/}" --image-ids "imageDigest=$DIGEST" >/dev/null 2>&1 && return
  docker buildx imagetools create --tag "$to:$RELEASE" "$(image)@$DIGEST"
  aws ecr describe-images --repository-name "${to#*/}" --image-ids "imageDigest=$DIGEST" >/dev/null
}

apply() {
  init
  # The first time there is no registry yet: without an image, Terraform makes everything but the machines.
  [ -n "$(repository)" ] || terraform_ apply -auto-approve
  copy_image "$(repository)"
  TF_VAR_image_digest=$DIGEST terraform_ apply -auto-approve
  say "url=$(terraform_ output -raw api_url)"
}

destroy() {
  init
  if [ "${WITH_DATA:-false}" = true ]; then
    export TF_VAR_deletion_protection=false
    terraform_ apply -auto-approve # removes the protection first
  fi
  terraform_ destroy -auto-approve
}

case "${1:-}" in
  find-image) find_image ;;
  plan) plan ;;
  apply) apply ;;
  destroy) destroy ;;
  up) up "${2:-${STAGE:-}}" ;;
  down) down "${2:-${STAGE:-}}" ;;
  *) sed -n '2,10s/^# //p' "$0" >&2; exit 2 ;;
esac

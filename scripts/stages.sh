# The stages of the deployment, for scripts/deploy.sh: each has a state of its own in STATE_BUCKET and reads the outputs of
# those before it. `foundation` is terraform/ itself, without what the later stages make.
# shellcheck shell=bash

STAGES=(0-bootstrap foundation data-streaming analytics processors) # each needs only those before it

fail() { echo "deploy.sh: $*" >&2; exit 1; }

folder_of() { if [ "$1" = foundation ]; then echo terraform; else echo "terraform/stages/$1"; fi; }

key_of() {
  case $1 in
    0-bootstrap) echo price-aggregator/bootstrap.tfstate ;;
    foundation) echo "price-aggregator/$ENVIRONMENT.tfstate" ;; # as with `apply`
    *) echo "price-aggregator/$ENVIRONMENT/$1.tfstate" ;;
  esac
}

# STATE_PATH_STYLE=true is for imitations of S3, with AWS_ENDPOINT_URL.
bucket_options() { # STAGE
  printf '%s\n' "-backend-config=bucket=$STATE_BUCKET" "-backend-config=key=$(key_of "$1")" "-backend-config=region=$AWS_REGION" \
    -backend-config=encrypt=true -backend-config=use_lockfile=true "-backend-config=use_path_style=${STATE_PATH_STYLE:-false}"
}

# States that this run has read: each reading starts Terraform twice. An apply or a destroy forgets that of its stage.
READ_STATES=$(mktemp -d)
trap 'rm -rf "$READ_STATES"' EXIT

# Print the state of a stage; nothing if there is none.
state_of() { # STAGE
  local kept=$READ_STATES/$1
  if [ ! -e "$kept" ]; then
    read_state "$1" >"$kept.new" || return
    mv "$kept.new" "$kept"
  fi
  cat "$kept"
}

# A folder without providers, because it starts at once.
read_state() { # STAGE
  local look options
  look=$(mktemp -d)
  printf 'terraform {\n  backend "s3" {}\n}\n' >"$look/main.tf"
  mapfile -t options < <(bucket_options "$1")
  if terraform -chdir="$look" init "${options[@]}" >"$look/said" 2>&1; then
    terraform -chdir="$look" state pull
    rm -rf "$look"
  elif grep -q 'bucket does not exist\|NoSuchBucket' "$look/said"; then
    rm -rf "$look"
  else
    cat "$look/said" >&2
    rm -rf "$look"
    return 1
  fi
}

is_up() { # STAGE
  local state
  state=$(state_of "$1") || fail "cannot read the state of $1"
  [ -n "$state" ] && [ "$(jq '[.resources[]? | select(.mode == "managed")] | length' <<<"$state")" -gt 0 ]
}

output_of() { # STAGE, a filter of jq on its outputs
  state_of "$1" | jq --raw-output "(.outputs // {} | map_values(.value)) | $2 // empty"
}

needs_of() { # STAGE: the stages that it reads
  case $1 in
    0-bootstrap) ;;
    foundation) echo 0-bootstrap ;;
    data-streaming) echo foundation ;;
    analytics)
      echo foundation
      [ "$(output_of foundation .switches.lake.firehose)" != true ] || echo data-streaming ;;
    processors) printf '%s\n' foundation data-streaming ;;
  esac
}

check_stage() {
  [[ " ${STAGES[*]} " == *" $1 "* ]] || fail "there is no stage $1; there are ${STAGES[*]}"
}

stage() { # STAGE, a command of Terraform
  local name=$1
  shift
  case $1 in apply | destroy) rm -f "$READ_STATES/$name" ;; esac
  terraform -chdir="$(folder_of "$name")" "$@"
}

# TFVARS is for bootstrap and foundation; the others read foundation's outputs.
set_variables() {
  local name value
  export TF_IN_AUTOMATION=1 TF_INPUT=0 TF_VAR_region=$AWS_REGION TF_VAR_environment=$ENVIRONMENT
  export TF_VAR_state_bucket=$STATE_BUCKET TF_VAR_state_path_style=${STATE_PATH_STYLE:-false} TF_VAR_staged=true
  while IFS=$'\t' read -r name value; do
    [[ $name =~ ^[a-z][a-z_]*$ ]] || fail "TFVARS has the name $name"
    export "TF_VAR_$name=$value"
  done < <(jq --raw-output 'to_entries[] | [.key, (.value | if type == "string" then . else tojson end)] | join("\t")' <<<"${TFVARS:-{\}}")
}

# Initialise a stage on its state in the bucket.
init_stage() { # STAGE
  local options
  set_variables
  case $1 in
    0-bootstrap | foundation) printf 'terraform {\n  backend "s3" {}\n}\n' >"$(folder_of "$1")/backend.tf" ;;
  esac
  mapfile -t options < <(bucket_options "$1")
  stage "$1" init -reconfigure "${options[@]}" >/dev/null
}

# The bucket of states cannot have its own state before it exists: make it with a state here, then move that.
bootstrap() {
  local options
  if [ -n "$(state_of 0-bootstrap)" ]; then
    init_stage 0-bootstrap
    stage 0-bootstrap apply -auto-approve
    return
  fi
  set_variables
  rm -f terraform/stages/0-bootstrap/backend.tf
  stage 0-bootstrap init -reconfigure >/dev/null
  stage 0-bootstrap apply -auto-approve
  printf 'terraform {\n  backend "s3" {}\n}\n' >terraform/stages/0-bootstrap/backend.tf
  mapfile -t options < <(bucket_options 0-bootstrap)
  stage 0-bootstrap init -migrate-state -force-copy "${options[@]}" >/dev/null
  rm -f terraform/stages/0-bootstrap/terraform.tfstate*
}

# The machines keep the image that they have, unless DIGEST names another. Without one there are no machines yet.
image_digest() {
  local image
  [ -z "${DIGEST:-}" ] || { echo "$DIGEST"; return; }
  image=$(output_of foundation .platform.image)
  case $image in *@sha256:*) echo "${image#*@}" ;; esac
}

# Machines need the stream and the tables: the first time, foundation is made without machines, and once more after these.
foundation() {
  local digest whole='[.resources[]? | select((.module // "") | test("^module[.](streaming|fanout|lake|processors)"))] | length'
  [ "$(state_of foundation | jq "$whole")" -gt 0 ] 2>/dev/null &&
    fail "foundation has the trade stream inside, from \`apply\`: the stages would delete it. Go on with \`apply\`"
  init_stage foundation
  digest=$(image_digest)
  if [ -n "$digest" ] && { [ -z "$(jq --raw-output '.streaming // .fanout // empty' <<<"${TFVARS:-{\}}")" ] || is_up data-streaming; }; then
    [ -z "${RELEASE:-}" ] || [ -z "$(repository)" ] || copy_image "$(repository)"
    export TF_VAR_image_digest=$digest
  fi
  stage foundation apply -auto-approve
}

up_stage() { # STAGE
  local need
  echo "== up $1"
  for need in $(needs_of "$1"); do
    is_up "$need" || fail "$1 needs the stage $need, which is missing: scripts/deploy.sh up $need"
  done
  case $1 in
    0-bootstrap) bootstrap ;;
    foundation) foundation ;;
    *) init_stage "$1"; stage "$1" apply -auto-approve ;;
  esac
}

# Whether a stage is switched on in foundation.
is_wanted() { # STAGE
  case $1 in
    data-streaming) [ -n "$(output_of foundation '(.switches.streaming // .switches.fanout)')" ] ;;
    analytics) [ -n "$(output_of foundation .switches.lake)" ] ;;
    processors) [ -n "$(output_of foundation .switches.processors)" ] && [ -n "$(output_of foundation .platform.image)" ] ;;
  esac
}

# STAGE=all is what the workflow says.
up() {
  local name
  if [ "${1:-all}" != all ]; then
    check_stage "$1"
    up_stage "$1"
    return
  fi
  # The workflow's role may not change itself, so it leaves out the stage that made it.
  [ -n "${GITHUB_ACTIONS:-}" ] || up_stage 0-bootstrap
  up_stage foundation
  for name in data-streaming analytics; do ! is_wanted "$name" || up_stage "$name"; done
  # Now with machines, unless they are there.
  [ -z "$(image_digest)" ] || [[ $(output_of foundation .platform.image) == *"$(image_digest)" ]] || up_stage foundation
  ! is_wanted processors || up_stage processors
}

# Ask before data goes. CONFIRM answers for the workflow.
ask() { # STAGE
  local answer=${CONFIRM:-}
  if [ -z "$answer" ]; then
    echo "This deletes the stage $1 of $ENVIRONMENT: tables, streams and queues, and buckets with all versions of what is in them."
    read -r -p "Type $ENVIRONMENT to go on: " answer || true
  fi
  [ "$answer" = "$ENVIRONMENT" ] || fail "nothing is deleted"
}

# The bucket of states has those of all environments.
check_unused() {
  local key keys
  keys=$(aws s3api list-objects-v2 --bucket "$STATE_BUCKET" --prefix price-aggregator/ --query 'Contents[].Key' --output text) ||
    fail "cannot list $STATE_BUCKET"
  for key in $keys; do
    case $key in price-aggregator/bootstrap.tfstate | *.tflock) continue ;; esac
    [ "$(aws s3 cp --only-show-errors "s3://$STATE_BUCKET/$key" - | jq '.resources | length')" = 0 ] ||
      fail "$STATE_BUCKET has the state $key of something that exists"
  done
}

# Whether a resource in the state of a stage refuses to be deleted, or to be deleted with its content.
is_protected() { # STAGE
  local found
  found=$(state_of "$1" | jq '[.resources[] | select(.mode == "managed") | .type as $type | .instances[].attributes
    | .deletion_protection_enabled == true or .enable_deletion_protection == true
      or (.force_destroy == false and ($type == "aws_s3_bucket" or $type == "aws_athena_workgroup"))
      or (.force_delete == false and $type == "aws_ecr_repository")] | any') || fail "cannot read the state of $1"
  [ "$found" = true ]
}

# With the protection off, Terraform empties the buckets of a stage, all versions, before it deletes them.
down_stage() { # STAGE
  local other
  echo "== down $1"
  for other in "${STAGES[@]}"; do
    if [ "$other" != "$1" ] && [[ " $(needs_of "$other" | tr '\n' ' ')" == *" $1 "* ]] && is_up "$other"; then
      fail "the stage $other needs $1: scripts/deploy.sh down $other"
    fi
  done
  is_up "$1" || { echo "$1 is not there"; return; }
  for other in $(needs_of "$1"); do
    is_up "$other" || fail "to delete $1, Terraform reads the outputs of $other, which is missing: scripts/deploy.sh up $other"
  done
  [ "$1" != 0-bootstrap ] || check_unused
  ask "$1"
  init_stage "$1"
  export TF_VAR_deletion_protection=false
  if [ "$1" = foundation ]; then
    TF_VAR_image_digest=$(image_digest)
    export TF_VAR_image_digest
    [ -n "$TF_VAR_image_digest" ] || unset TF_VAR_image_digest
  fi
  ! is_protected "$1" || stage "$1" apply -auto-approve
  if [ "$1" = 0-bootstrap ]; then
    rm -f terraform/stages/0-bootstrap/backend.tf # its state cannot stay in the bucket that it deletes
    stage 0-bootstrap init -migrate-state -force-copy >/dev/null
  fi
  stage "$1" destroy -auto-approve
  [ "$1" != 0-bootstrap ] || rm -f terraform/stages/0-bootstrap/terraform.tfstate*
}

down() {
  local at
  if [ "${1:-all}" != all ]; then
    check_stage "$1"
    down_stage "$1"
    return
  fi
  for ((at = ${#STAGES[@]} - 1; at > 0; at--)); do down_stage "${STAGES[at]}"; done # bootstrap stays: other environments use it
}

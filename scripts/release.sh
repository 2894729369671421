#!/usr/bin/env bash
# The steps of .github/workflows/release.yml for a tag (GITHUB_REF_NAME).
#   check-tag   the tag is signed, and names the version in pyproject.toml   (GH_TOKEN)
#   push        build the image with its SBOM and provenance, push, sign     (REGISTRY_TOKEN; outputs image and digest)
#   package     build wheel and source archive with their SBOM, and the clients, sign each   (files in dist/)
#   clients     build the wheel and the npm package of the clients with their SBOMs; `package` does it
#   publish     the release, with these files and the image's SBOM           (GH_TOKEN, REGISTRY_TOKEN, IMAGE, DIGEST)
set -euo pipefail
cd "$(dirname "$0")/.."

image() { echo "ghcr.io/${GITHUB_REPOSITORY,,}"; }

log_in() { docker login ghcr.io --username "$GITHUB_ACTOR" --password-stdin <<<"$REGISTRY_TOKEN" >/dev/null; }

version() { sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml; }

check_tag() {
  [ "$GITHUB_REF_NAME" = "v$(version)" ] || { echo "tag $GITHUB_REF_NAME is not v$(version) of pyproject.toml" >&2; exit 1; }
  local type sha
  read -r type sha < <(gh api "repos/$GITHUB_REPOSITORY/git/ref/tags/$GITHUB_REF_NAME" --jq '"\(.object.type) \(.object.sha)"')
  [ "$type" = tag ] && [ "$(gh api "repos/$GITHUB_REPOSITORY/git/tags/$sha" --jq .verification.verified)" = true ] || {
    echo "tag $GITHUB_REF_NAME has no signature that GitHub knows: git tag --sign $GITHUB_REF_NAME" >&2; exit 1; }
}

push() {
  log_in
  docker buildx create --use >/dev/null
  docker buildx build --file deploy/Dockerfile --tag "$(image):$GITHUB_REF_NAME" --push --metadata-file built.json \
    --sbom=true --provenance=mode=max \
    --label "org.opencontainers.image.source=$GITHUB_SERVER_URL/$GITHUB_REPOSITORY" \
    --label "org.opencontainers.image.revision=$GITHUB_SHA" \
    --label "org.opencontainers.image.version=$GITHUB_REF_NAME" .
  local digest
  digest=$(jq --raw-output '."containerimage.digest"' built.json)
  cosign sign --yes "$(image)@$digest"
  printf 'image=%s\ndigest=%s\n' "$(image)" "$digest" >>"$GITHUB_OUTPUT"
}

package() {
  . scripts/venv.sh
  ensure_venv requirements.txt # the build tool by hash
  rm -rf build dist
  SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) # the same commit makes the same wheel
  export SOURCE_DATE_EPOCH
  .venv/bin/python -m pip wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir dist .
  .venv/bin/python -c 'import setuptools.build_meta as backend; backend.build_sdist("dist")' >/dev/null
  .venv/bin/python scripts/sbom.py dist/*.whl dist/*.tar.gz >sbom.json
  mv sbom.json "dist/rt_price_aggregator-$(version).cdx.json"
  clients
  local file
  for file in dist/*; do cosign sign-blob --yes --bundle "$file.sigstore.json" "$file"; done
}

# They are on no index either: pip and npm install the files of the release.
clients() {
  local python=clients/python javascript=clients/javascript
  .venv/bin/python -m pip wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir dist "./$python"
  npm pack --silent --pack-destination dist "./$javascript" >/dev/null # from package.json's `files`; runs no script
  .venv/bin/python scripts/sbom.py --project "$python" dist/rt_price_aggregator_client-*.whl >python.json
  .venv/bin/python scripts/sbom.py --project "$javascript" dist/rt-price-aggregator-client-*.tgz >javascript.json
  mv python.json dist/client-python.cdx.json
  mv javascript.json dist/client-javascript.cdx.json
}

publish() {
  log_in
  docker buildx imagetools inspect "$IMAGE@$DIGEST" --format '{{ json .SBOM.SPDX }}' >image.spdx.json
  gh release create "$GITHUB_REF_NAME" image.spdx.json dist/* --repo "$GITHUB_REPOSITORY" --verify-tag --generate-notes \
    --notes "Image: \`$IMAGE@$DIGEST\`"
}

case "${1:-}" in
  check-tag) check_tag ;;
  push) push ;;
  package) package ;;
  clients) clients ;;
  publish) publish ;;
  *) sed -n '2,7s/^# //p' "$0" >&2; exit 2 ;;
esac

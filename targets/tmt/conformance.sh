#!/bin/sh
# The test of the tmt plan: run the suites in an environment made for it, and leave tmt's results beside the record.
# What fails the test is in the results; this script itself fails only where there are none.
set -eu
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$PYTHON" -m venv "$folder"
"$folder/bin/pip" install --quiet --editable .

record=$TMT_TEST_DATA/$SOCKWAKE_TARGET.jsonl
# shellcheck disable=SC2086  # the arguments are several words
"$folder/bin/python" -m targets run "$SOCKWAKE_TARGET" --record "$record" -- $SOCKWAKE_ARGUMENTS ||
    echo "the run came to exit code $?"

cd "$TMT_TEST_DATA"
"$folder/bin/python" -m reports ktap "$record" -o "$SOCKWAKE_TARGET.ktap"
"$folder/bin/python" -m reports junit "$record" -o "$SOCKWAKE_TARGET.xml"
"$folder/bin/python" -m reports tmt "$record" -o results.json \
    --log "$SOCKWAKE_TARGET.html" --log "$SOCKWAKE_TARGET.jsonl" --log "$SOCKWAKE_TARGET.ktap" --log "$SOCKWAKE_TARGET.xml"

#!/bin/sh
# The test of the tmt plan: run the suites in an environment made for it, and leave tmt's results beside the record.
# What fails the test is in the results; this script itself fails only where there are none.
set -efu # -f: what is in brackets is a case, not a pattern of file names
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$PYTHON" -m venv "$folder"
"$folder/bin/pip" install --quiet --editable .

cd "$TMT_TEST_DATA"
# shellcheck disable=SC2086  # the arguments are several words
"$folder/bin/python" -m targets run host --record host.jsonl -- $SOCKWAKE_ARGUMENTS || echo "the run came to exit code $?"

"$folder/bin/python" -m reports ktap host.jsonl -o host.ktap
"$folder/bin/python" -m reports junit host.jsonl -o host.xml
"$folder/bin/python" -m reports tmt host.jsonl -o results.json --log host.html --log host.jsonl --log host.ktap --log host.xml

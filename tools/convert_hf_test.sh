#!/usr/bin/env bash
# Runs with the Python that KEDGE_PYTHON names (else Debian's), if it has what conversion and its test need.
python=${KEDGE_PYTHON:-/usr/bin/python3}
if ! reason=$("$python" -c 'import gguf, safetensors, sentencepiece, tokenizers, torch, transformers' 2>&1); then
  echo "skipped: $python: ${reason##*$'\n'}; KEDGE_PYTHON names another Python (see tools/README.md)"
  if [[ -n ${XML_OUTPUT_FILE:-} ]]; then
    testcase='<testcase name="convert_hf_test"><skipped/></testcase>'
    echo "<testsuites><testsuite name=\"convert_hf_test\">$testcase</testsuite></testsuites>" >"$XML_OUTPUT_FILE"
  fi
  exit 0
fi
exec "$python" tools/convert_hf_test.py

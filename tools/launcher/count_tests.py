"""Counts the test cases of one `bazel test` run and prints `N passed, N failed` (and `, N skipped` if any were).

Reads Bazel's build events (--build_event_json_file), which name the test.xml of every test of this run, also of those
whose results were cached. What failed without a test case to show for it (it did not build, crashed, ran too long)
counts as one failure. Exits with 0 only if nothing failed.

Usage: count_tests.py EVENTS_FILE BAZEL_EXIT_CODE
"""

import json
import sys
import urllib.parse
import xml.etree.ElementTree


class Counts:

    def __init__(self):
        self.passed = 0
        self.skipped = 0
        self.failed = []  # names


def count_cases(path, label, counts):
    """Adds the test cases of one test.xml; returns how many of them failed."""
    failed_before = len(counts.failed)
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            counts.failed.append(" ".join(filter(None, [label, case.get("classname"), case.get("name")])))
        elif case.find("skipped") is not None or case.get("result") == "skipped":
            counts.skipped += 1
        elif case.get("status") != "notrun":  # gtest lists disabled and filtered cases so
            counts.passed += 1
    return len(counts.failed) - failed_before


def read_events(path):
    """The results by (label, run, shard), last attempt; the labels of targets that were not built; and how many are not
    for this build at all (target_compatible_with: those that need a CUDA toolkit)."""
    results = {}
    not_built = []
    unsuitable = 0
    with open(path, encoding="utf-8") as events:
        for line in events:
            event = json.loads(line)
            if "testResult" in event["id"] and "testResult" in event:
                test = event["id"]["testResult"]
                key = (test["label"], test.get("run"), test.get("shard"))
                attempt = test.get("attempt", 1)
                if key not in results or results[key][0] <= attempt:
                    results[key] = (attempt, event["testResult"])
            elif event.get("aborted", {}).get("reason") == "SKIPPED":
                unsuitable += "targetCompleted" in event["id"]
            elif "targetCompleted" in event["id"] and not event.get("completed", {}).get("success"):
                not_built.append(event["id"]["targetCompleted"]["label"])
    tested = {label for label, _, _ in results}
    return results, [label for label in not_built if label not in tested], unsuitable


def count(events_path, exit_code):
    counts = Counts()
    try:
        results, not_built, counts.skipped = read_events(events_path)
    except (OSError, ValueError) as error:  # Bazel did not get as far as writing events, or was killed
        counts.failed.append("bazel test (no results: %s)" % error)
        return counts
    counts.failed.extend("%s (not built)" % label for label in not_built)
    for (label, _, _), (_, result) in sorted(results.items(), key=lambda item: item[0][0]):
        ok = result.get("status") in ("PASSED", "FLAKY")
        failed_cases = 0
        counted = False
        for output in result.get("testActionOutput", []):
            if output["name"] == "test.xml":
                try:
                    path = urllib.parse.unquote(urllib.parse.urlparse(output["uri"]).path)
                    failed_cases = count_cases(path, label, counts)
                    counted = True
                except (OSError, xml.etree.ElementTree.ParseError):
                    pass
        if not ok and failed_cases == 0:
            counts.failed.append("%s (%s)" % (label, result.get("status", "no status")))
        elif ok and not counted:
            counts.passed += 1
    if exit_code != 0 and not counts.failed:
        counts.failed.append("bazel test (exit code %d)" % exit_code)
    return counts


def main():
    counts = count(sys.argv[1], int(sys.argv[2]))
    for name in counts.failed:
        print("FAILED:", name)
    line = "%d passed, %d failed" % (counts.passed, len(counts.failed))
    if counts.skipped:
        line += ", %d skipped" % counts.skipped
    print(line, flush=True)
    sys.exit(1 if counts.failed else 0)


if __name__ == "__main__":
    main()

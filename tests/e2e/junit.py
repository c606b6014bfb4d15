"""Reads what ginkgo left in a folder."""

import glob
import re
import xml.etree.ElementTree as ET


def read(folder):
    """The tests that ran: name -> (seconds, None or the element that tells what went wrong)."""
    results = {}
    for path in glob.glob(f"{folder}/junit*.xml"):
        for case in ET.parse(path).iter("testcase"):
            name = re.sub(r"^\[It\] ", "", case.get("name", ""))
            if case.find("skipped") is not None and case.get("status") != "failed":
                continue
            bad = case.find("failure") if case.find("failure") is not None else case.find("error")
            # What goes on around the tests counts only when it fails.
            if not name.startswith("[") or re.match(r"\[(Report|Synchronized|Before|After)", name):
                if bad is None:
                    continue
            results[name] = (float(case.get("time") or 0), bad)
    return results

"""Reads what a run of the node suite left in a folder."""

import glob
import json
import os
import re
import xml.etree.ElementTree as ET

NOT_CHOSEN = "skipped"  # what junit says of a spec that the focus left out; one that skipped itself says why


def read_junit(folder):
    """The specs that were chosen: name -> {verdict: ok|FAIL|skip|cut, seconds, message}; cut: the run was ended."""
    results = {}
    for path in glob.glob(f"{folder}/junit*.xml"):
        for case in ET.parse(path).iter("testcase"):
            name = re.sub(r"^\[It\] ", "", case.get("name", ""))
            bad = case.find("failure") if case.find("failure") is not None else case.find("error")
            skipped = case.find("skipped")
            message = ""
            if bad is not None:
                message = (bad.get("message") or bad.text or "").strip()
                verdict = "cut" if message.startswith("[INTERRUPTED]") or case.get("status") == "interrupted" else "FAIL"
            elif skipped is not None:
                verdict, message = "skip", skipped.get("message", "").removeprefix("skipped - ")
            else:
                verdict = "ok"
            # What goes on around the specs counts only when it fails.
            around = not name.startswith("[") or re.match(r"\[(Report|Synchronized|Before|After)", name)
            if (around and bad is None) or message == NOT_CHOSEN:
                continue
            results[name] = {"verdict": verdict, "seconds": float(case.get("time") or 0), "message": message[:2000]}
    return results


def read(folder):
    """The results of one or several runs (folders separated by commas); a later run of a spec replaces an earlier one."""
    results = {}
    for part in folder.split(","):
        path = os.path.join(part, "results.json")
        with open(path) as f:
            results.update(json.load(f))
    return results


def short(name):
    """A spec's name without its labels."""
    return re.sub(r"\s+", " ", re.sub(r"\[[^\]]*\]", "", name)).strip()


def read_cannot(path):
    """Specs that cannot pass here: (name fragment, reason)."""
    with open(path) as f:
        lines = [line.rstrip("\n") for line in f if line.strip() and not line.startswith("#")]
    return [(name, reason.strip()) for name, _, reason in (line.partition("\t") for line in lines)]

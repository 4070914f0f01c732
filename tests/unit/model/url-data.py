#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Holds the service's URL rules against test data in the form of the URL Standard's urltestdata.json.

url-data.py PROGRAM FILE    PROGRAM is build/PRESET/tests/target-locations
url-data.py PROGRAM         cases of our own, which try this program itself

Read are the cases whose input is an absolute http or https URL. One agrees when both refuse it, or
both make the same URL of it. What only the service refuses must have a reason (REASONS), and the
reason must be all there is to it: when the input is mended as the standard itself would (blanks
escaped, tabs taken out, slashes put right) or by a longer host, the service makes the
standard's URL of it. Everything else is a failure: status 1.
"""

import collections
import json
import re
import subprocess
import sys
import unicodedata
import urllib.parse

SCHEME = re.compile(r"(https?):(?P<slashes>[/\\]*)", re.I)
REASONS = {
    "blank": "a blank or a control character that is not at its ends",
    "slashes": "not two slashes between scheme and host",
    "backslash": "a backslash in front of the query and fragment",
    "credentials": "a user name or password, or the @ of an empty one",
    "short": "a host of one character",
    "punycode": "an xn-- label that is none of IDNA's",
}
TAKEN_OUT = "\t\n\r"
ENDS = "".join(map(chr, range(0x21)))
BLANKS = " \t\n\v\f\r"  # what the service drops there


def cut(text):
    """(scheme and slashes, authority, path, query and fragment)"""
    head = SCHEME.match(text).group()
    rest = text[len(head):]
    at = re.search(r"[?#]", rest)
    front, tail = (rest[:at.start()], rest[at.start():]) if at else (rest, "")
    path = re.search(r"[/\\]", front)
    return (head, front, "", tail) if not path else (head, front[:path.start()], front[path.start():], tail)


def clean(text):
    """As the standard's parser begins."""
    return re.sub(f"[{TAKEN_OUT}]", "", text.strip(ENDS))


def escape(text):
    return re.sub(r"[\x00-\x20\x7f-\x9f]", lambda found: urllib.parse.quote(found.group()), text)


def is_no_idna(label):
    """Is it Punycode of nothing, of ASCII, of no characters, or of what Unicode writes otherwise?"""
    if not label.lower().startswith("xn--"):
        return False
    try:
        decoded = label[4:].lower().encode().decode("punycode")
    except UnicodeError:
        return True
    if any(unicodedata.category(c) in ("Cc", "Cn", "Co", "Cs") for c in decoded):
        return True
    return decoded.isascii() or unicodedata.normalize("NFKC", decoded).lower() != decoded


def mend_host(case, host, href):
    """(reasons, mended host, its URL)"""
    reasons, begin = [], href.index("://") + 3
    begin = max(begin, href.find("@", begin, (href + "/").index("/", begin)) + 1)
    front, behind = href[:begin], href[begin:]
    for label in filter(is_no_idna, re.sub(r":\d*$", "", host).split(".")):
        reasons += ["punycode"] * ("punycode" not in reasons)
        host, behind = host.replace(label, "y" + label[1:]), behind.replace(label.lower(), "y" + label[1:].lower(), 1)
    if len(case["hostname"]) == 1 or len(urllib.parse.unquote(re.sub(r":\d*$", "", host))) == 1:
        reasons.append("short")
        host, behind = "longer." + host, "longer." + behind
    return reasons, host, front + behind


def mend(case):
    """(reasons, mended input, its URL) of an input that the service refuses."""
    reasons, cleaned = [], clean(case["input"])
    head, authority, path, tail = cut(cleaned)
    user, at, host = authority.rpartition("@")
    if cleaned != case["input"].strip(BLANKS) or any(map(lambda part: escape(part) != part, (user, path, tail))):
        reasons.append("blank")
    if not re.fullmatch(r"https?://", head, re.I) or authority == "":
        reasons.append("slashes")
    if "\\" in head + path:
        reasons.append("backslash")
    if at:
        reasons.append("credentials")
    more, host, href = mend_host(case, host, case["href"])
    return (reasons + more, head.rstrip("/\\") + "//" + escape(user) + at + host + escape(path).replace("\\", "/") + escape(tail),
            href)


def is_read(case):
    """Is the input an absolute http or https URL, whatever the base?"""
    found = SCHEME.match(clean(case["input"]))
    return bool(found) and (case.get("base") in (None, "about:blank") or len(found["slashes"]) >= 2)


def locations(program, texts, *arguments):
    """Unpaired surrogates become U+FFFD, as in a browser."""
    lines = [re.sub("[\ud800-\udfff]", "\ufffd", text).encode().hex() for text in texts]
    done = subprocess.run([program, *arguments], input="\n".join(lines) + "\n", stdout=subprocess.PIPE, check=True,
                          universal_newlines=True)
    return [line or None for line in done.stdout.split("\n")[:-1]]


def compare(program, cases):
    """({what: number}, {reasons: [case]}, [failure])"""
    counts, groups, failures, doubtful = collections.Counter(), collections.defaultdict(list), [], []
    for case, location in zip(cases, locations(program, [case["input"] for case in cases])):
        href = None if case.get("failure") else case["href"]
        if location == href:
            counts["refused by both" if href is None else "accepted by both, the same URL"] += 1
        elif location is None:
            doubtful.append((case, *mend(case)))
        else:
            failures.append(f"{case['input']!r}: {location}, and the standard says {href or 'failure'}")
    mended = locations(program, [text for _, _, text, _ in doubtful], "credentials")
    for (case, reasons, text, href), location in zip(doubtful, mended):
        if reasons and location == href:
            groups[tuple(reasons)].append(case["input"])
        else:
            failures.append(f"{case['input']!r}: refused ({', '.join(reasons) or 'no reason'}); mended {text!r}: {location}, "
                            f"and the standard says {href}")
    counts["refused by the service only, with a reason"] = len(doubtful) - sum(": refused (" in f for f in failures)
    counts["failures"] = len(failures)
    return counts, groups, failures


def report(program, data):
    cases = [case for case in data if isinstance(case, dict) and is_read(case)]
    counts, groups, failures = compare(program, cases)
    print(f"{len(cases)} cases with an absolute http or https URL")
    for what, number in counts.items():
        print(f"{number:5} {what}")
    for reasons, texts in sorted(groups.items(), key=lambda item: -len(item[1])):
        print(f"\n{len(texts):5} refused for {' and '.join(REASONS[reason] for reason in reasons)}")
        for text in texts:
            print(f"        {text!r}")
    for failure in failures:
        print(f"FAILED  {failure}")
    return counts, groups, failures


def case_of(text, href, hostname="ab.example", base=None):
    return {"input": text, "base": base, **({"href": href, "hostname": hostname} if href else {"failure": True})}


OWN = [
    "a comment",
    case_of("http://ab.example", "http://ab.example/"),
    case_of("HTTPS://AB.example:443/a/../\u00e9", "https://ab.example/%C3%A9"),
    case_of("http://ab.example:x/", None),
    case_of("http://ab.example", "http://ab.example/", base="http://other.example/"),
    case_of(" http://ab.example\n", "http://ab.example/"),
    case_of("ht\ttp://ab.example/a b", "http://ab.example/a%20b"),
    case_of("http:ab.example", "http://ab.example/"),
    case_of("http:\\\\ab.example\\x?\\", "http://ab.example/x?\\"),
    case_of("http://u:p@ab.example/@", "http://u:p@ab.example/@"),
    case_of("http://@ab.example/", "http://ab.example/"),
    case_of("http://u@b:81/x y", "http://u@b:81/x%20y", "b"),
    case_of("\x01http://ab.example/\x7f\x1f", "http://ab.example/%7F"),
    case_of("http://xn--a.Xn--bcher-kva.example", "http://xn--a.xn--bcher-kva.example/"),
    case_of("http://%c3%a9:8/", "http://xn--9ca:8/", "xn--9ca"),
    case_of("http://ab.example/\ud800", "http://ab.example/%EF%BF%BD"),
    # Not read.
    case_of("http:x", "http://other.example/x", base="http://other.example/"),
    case_of("ftp://ab.example", "ftp://ab.example/"),
]
WRONG = [
    case_of("http://ab.example/", None),
    case_of("http://ab.example/x", "http://ab.example/y"),
    case_of("http://ab.example:x/", "http://ab.example/"),
    case_of("http://u@ab.example:x/", "http://u@ab.example/"),
    case_of("http://xn--bcher-kva.example:x/", "http://xn--bcher-kva.example/"),
]


def selftest(program):
    counts, groups, failures = report(program, OWN)
    found = {reasons: len(texts) for reasons, texts in groups.items()}
    assert not failures, failures
    assert counts["accepted by both, the same URL"] == 5 and counts["refused by both"] == 1, counts
    assert found == {("blank",): 2, ("punycode",): 1, ("short",): 1, ("slashes",): 1, ("slashes", "backslash"): 1, ("credentials",): 2,
                     ("blank", "credentials", "short"): 1}, found
    for case in WRONG:
        assert len(report(program, [case])[2]) == 1, case


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    if len(sys.argv) == 2:
        selftest(sys.argv[1])
        return
    with open(sys.argv[2], encoding="utf-8") as file:
        counts, _, failures = report(sys.argv[1], json.load(file))
    sys.exit(1 if failures or not counts["accepted by both, the same URL"] else 0)


if __name__ == "__main__":
    main()

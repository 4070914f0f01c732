#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Files that no import should have to see: each gets its error, by line, and the good rows go in."""

from shortenerctl import DONE, FAILED, Case, main

HEAD = b"username,email\n"
ANNA = b"anna,anna@example.com\n"
ZOE = b"zoe,zoe@example.com\n"

BROKEN = "the row is broken: a stray quote, or over 64 KiB or 64 fields"
FEWER = "the row has fewer fields than the header"
MORE = "the row has more fields than the header"
CONTROL = " must be UTF-8 without control characters"

# what: (bytes, rows that go in, {line: reason})
USERS = {
    "a byte order mark": (b"\xef\xbb\xbf" + HEAD + ANNA, 1, {}),
    "CRLF": ((HEAD + ANNA + ZOE).replace(b"\n", b"\r\n"), 2, {}),
    "no line end at the end": (HEAD + ANNA + ZOE[:-1], 2, {}),
    "CR alone": (HEAD + b"anna,anna@example.com\rzoe,zoe@example.com\n", 0, {2: MORE}),
    "blank lines": (HEAD + b"\n\r\n" + ANNA + b"\n\n" + ZOE + b"\n", 2, {}),
    "lines of blanks": (HEAD + b"   \n" + ANNA, 1, {2: FEWER}),
    "a header alone": (HEAD, 0, {}),
    "columns in another order": (b"email,x,username\nanna@example.com,7,anna\n", 1, {}),
    "names of columns in capitals": (b"UserName, EMAIL \n" + ANNA, 1, {}),
    "quoted names of columns": (b'"username","email"\n' + ANNA, 1, {}),
    "everything quoted": (HEAD + b'"anna","anna@example.com"\n', 1, {}),
    "blanks around": (HEAD + b"  anna , anna@example.com \n", 1, {}),
    "a quote in a field": (HEAD + b'an"na,a@example.com\n' + ZOE, 1, {2: BROKEN}),
    "text behind a quote": (HEAD + b'"an"na,a@example.com\n' + ZOE, 1, {2: BROKEN}),
    "a blank behind a quote": (HEAD + b'"anna" ,a@example.com\n' + ZOE, 1, {2: BROKEN}),
    "a quote that is not closed": (HEAD + b'"anna,a@example.com\n' + ZOE, 1, {2: BROKEN}),
    "a quote not closed at the end": (HEAD + ZOE + b'"anna,a@example.com', 1, {3: BROKEN}),
    "a line end between quotes": (HEAD + b'"an\nna",a@example.com\n' + ZOE, 1,
                                  {2: "username" + CONTROL}),
    "too few fields": (HEAD + b"anna\n" + ZOE, 1, {2: FEWER}),
    "too many fields": (HEAD + b"anna,a@example.com,x\n" + ZOE, 1, {2: MORE}),
    "a comma at the end": (HEAD + b"anna,a@example.com,\n" + ZOE, 1, {2: MORE}),
    "65 fields": (HEAD + b"," * 64 + b"\n" + ZOE, 1, {2: BROKEN}),
    "a thousand fields": (HEAD + b"," * 999 + b"\n" + ZOE, 1, {2: BROKEN}),
    "a row of 64 KiB and more": (HEAD + b"a" * 70000 + b",a@example.com\n" + ZOE, 1, {2: BROKEN}),
    "a row of 3 MB": (HEAD + b"a" * 3000000 + b",a@example.com\n" + ZOE, 1, {2: BROKEN}),
    "NUL": (HEAD + b"an\x00na,a@example.com\n" + ZOE, 1, {2: "username" + CONTROL}),
    "NULs alone": (HEAD + b"\x00" * 5000 + b"\n" + ZOE, 1, {2: FEWER}),
    "an escape sequence": (HEAD + b"\x1b[31manna,a@example.com\n" + ZOE, 1, {2: "username" + CONTROL}),
    "Latin-1": (HEAD + b"k\xe4se,a@example.com\n" + ZOE, 1, {2: "username" + CONTROL}),
    "half a character": (HEAD + b"anna\xc3,a@example.com\n" + ZOE, 1, {2: "username" + CONTROL}),
    "an overlong form": (HEAD + b"\xc0\xaf,a@example.com\n" + ZOE, 1, {2: "username" + CONTROL}),
    "half a surrogate pair": (HEAD + b"\xed\xa0\x80,a@example.com\n" + ZOE, 1,
                              {2: "username" + CONTROL}),
    "no username": (HEAD + b",a@example.com\n" + ZOE, 1, {2: "username is required"}),
    "blanks for a username": (HEAD + "\u2003 \u00a0,a@example.com\n".encode() + ZOE, 1,
                              {2: "username is required"}),
    "no e-mail": (HEAD + b"anna,\n" + ZOE, 1, {2: "email is required"}),
    "256 characters": (HEAD + "ä".encode() * 256 + b",a@example.com\n" + ZOE, 1,
                       {2: "username must be 255 characters or fewer"}),
    "255 characters": (HEAD + "ä".encode() * 255 + b",a@example.com\n" + ZOE, 2, {}),
    "an over-long e-mail": (HEAD + b"anna," + b"a" * 250 + b"@example.com\n" + ZOE, 1,
                            {2: "email must be 255 characters or fewer"}),
    "no at sign": (HEAD + b"anna,example.com\n" + ZOE, 1, {2: "Invalid email format"}),
    "two at signs": (HEAD + b"anna,a@b@example.com\n" + ZOE, 1, {2: "Invalid email format"}),
    "a blank in an e-mail": (HEAD + b"anna,a b@example.com\n" + ZOE, 1, {2: "Invalid email format"}),
    "the same name twice": (HEAD + ANNA + b"anna,b@example.com\n", 1, {3: "Username already exists"}),
    "the same e-mail twice": (HEAD + ANNA + b"bert,anna@example.com\n", 1, {3: "Email already exists"}),
    "the same id twice": (b"id," + HEAD + b"5," + ANNA + b"5," + ZOE, 1,
                          {3: "the id is taken or out of range"}),
    "an id that is none": (b"id," + HEAD + b"five," + ANNA + b"6," + ZOE, 1,
                           {2: "id must be a positive integer"}),
    "an id of zero": (b"id," + HEAD + b"0," + ANNA, 0, {2: "id must be a positive integer"}),
    "an id with a sign": (b"id," + HEAD + b"-5," + ANNA, 0, {2: "id must be a positive integer"}),
    "a fraction for an id": (b"id," + HEAD + b"1.5," + ANNA, 0, {2: "id must be a positive integer"}),
    "an id of 2^63": (b"id," + HEAD + b"9223372036854775808," + ANNA, 0,
                      {2: "id must be a positive integer"}),
    "the largest number": (b"id," + HEAD + b"9223372036854775806," + ANNA, 0,
                           {2: "the id is taken or out of range"}),
    "a time that is none": (b"created_at," + HEAD + b"soon," + ANNA, 0, {2: "created_at is no date"}),
    "30 February": (b"created_at," + HEAD + b"2026-02-30," + ANNA, 0, {2: "created_at is no date"}),
    "a formula": (HEAD + b'"=HYPERLINK(""http://ab"")",a@example.com\n', 1, {}),
}

LINKS_HEAD = b"short_code,original_url,user_id,title,is_active,created_at\n"
LINK = b"good1,http://ab,,,,\n"
URL = "A valid HTTP or HTTPS URL is required"
CODE = "short_code must be 1 to 64 characters of A-Z, a-z, 0-9, - and _"
LINKS = {
    "no URL": (b"abc,,,,,\n", "url is required"),
    "another scheme": (b"abc,javascript:alert(1),,,,\n", URL),
    "no scheme": (b"abc,example.com/x,,,,\n", URL),
    "credentials": (b"abc,http://u:p@example.com/,,,,\n", URL),
    "a blank": (b"abc,http://example.com/a b,,,,\n", URL),
    "a line end": (b'abc,"http://example.com/\r\nSet-Cookie: x",,,,\n', URL),
    "a bad port": (b"abc,http://example.com:99999/,,,,\n", URL),
    "2,049 bytes": (b"abc,http://example.com/" + b"x" * 2030 + b",,,,\n", URL),
    "a slash in a code": (b"a/b,http://ab,,,,\n", CODE),
    "65 characters of code": (b"a" * 65 + b",http://ab,,,,\n", CODE),
    "a code that is a route": (b"health,http://ab,,,,\n",
                               "short_code is the name of a route and would not be reached"),
    "a code twice": (b"good1,http://cd,,,,\n", "short_code already exists"),
    "a user who is not there": (b"abc,http://ab,7,,,\n", "User not found"),
    "a user that is no number": (b"abc,http://ab,anna,,,\n", "user_id must be a positive integer"),
    "a title that is too long": (b"abc,http://ab,," + b"x" * 256 + b",,\n",
                                 "title must be 255 characters or fewer"),
    "an odd boolean": (b"abc,http://ab,,,maybe,\n", "is_active must be a boolean"),
}

EVENTS_HEAD = b"url_id,event_type,details,user_id,timestamp\n"
EVENTS = {
    "no link": (b",x,,,\n", "url_id is required"),
    "a link that is not there": (b"7,x,,,\n", "URL not found"),
    "no type": (b"1, ,,,\n", "event_type is required"),
    "details that are no JSON": (b"1,x,nonsense,,\n", "details must be a JSON object"),
    "an array": (b'1,x,"[1,2]",,\n', "details must be a JSON object"),
    "half an object": (b'1,x,"{""a"":1",,\n', "details must be a JSON object"),
    "NaN": (b'1,x,"{""a"":NaN}",,\n', "details must be a JSON object"),
    "a NUL escape": (b'1,x,"{""a"":""\\u0000""}",,\n', "details must be a JSON object"),
    "half a surrogate pair": (b'1,x,"{""a"":""\\ud800""}",,\n', "details must be a JSON object"),
    "17 levels": (b'1,x,"' + b'{""a"":' * 16 + b"{}" + b"}" * 16 + b'",,\n',
                  "details must be a JSON object"),
    "4,097 bytes": (b'1,x,"{""a"":""' + b"y" * 4089 + b'""}",,\n',
                    "details must be 4096 bytes or fewer"),
    "6,401 bytes": (b'1,created,"{""a"":""' + b"y" * 6393 + b'""}",,\n',
                    "details must be 6400 bytes or fewer"),
    "a time that is none": (b"1,x,,,25:00\n", "timestamp is no date"),
}

HEADERS = {
    "nothing": (b"", "the file is empty"),
    "a mark alone": (b"\xef\xbb\xbf", "the file is empty"),
    "blank lines": (b"\n\r\n\n", "the file is empty"),
    "no such columns": (b"a,b\n1,2\n", "these are neither users"),
    "no header": (ANNA + ZOE, "these are neither users"),
    "one column is missing": (b"username\nanna\n", "there is no column email"),
    "a column twice": (b"username,email,username\n", "two columns have the name username"),
    "semicolons": (b"username;email\nanna;a@example.com\n", "these are neither users"),
    "UTF-16": ("username,email\n".encode("utf-16"), "these are neither users"),
    "a broken header": (b'user"name,email\n' + ANNA, "the header line is broken"),
    "a hundred columns": (b"x," * 100 + HEAD + ANNA, "the header line is broken"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, "neither users|header line is broken"),
}


class BadFiles(Case):
    def setUp(self):
        super().setUp()
        self.init()

    def check(self, data, n_rows, errors):
        path = self.write("x.csv", data)
        before = sum(self.totals())
        done = self.run_ctl("import", path)
        self.assertEqual(done.returncode, FAILED if errors else DONE, done.stderr)
        self.assertEqual(sum(self.totals()) - before, n_rows)
        kept = self.read("x.csv.errors").decode().split("\n")[1:-1] if errors else []
        wanted = [f"{line},{reason}" for line, reason in errors.items()]
        self.assertEqual([line.replace('"', "") for line in kept], wanted)
        self.verify()

    def test_users(self):
        for what, (data, n_rows, errors) in USERS.items():
            with self.subTest(what):
                self.check(data, n_rows, errors)
                for user in self.json("user", "list", "--limit=0"):
                    self.ctl("user", "delete", "--yes", str(user["id"]))

    def test_links(self):
        self.check(LINKS_HEAD + LINK, 2, {})  # with its event
        for what, (row, reason) in LINKS.items():
            with self.subTest(what):
                self.check(LINKS_HEAD + row, 0, {2: reason})

    def test_events(self):
        self.check(LINKS_HEAD + LINK, 2, {})
        for what, (row, reason) in EVENTS.items():
            with self.subTest(what):
                self.check(EVENTS_HEAD + row + b"1,x,,,\n", 1, {2: reason})

    def test_headers(self):
        for what, (data, message) in HEADERS.items():
            with self.subTest(what):
                self.refused("import", self.write("x.csv", data), message=message)
        self.assertEqual(self.totals(), (0, 0, 0))

    def test_all_of_them_in_one_file(self):
        """However many are bad, the good ones between them go in."""
        data = LINKS_HEAD
        for i, (row, _) in enumerate(LINKS.values()):
            data += row + b"fine%d,http://ab,,,,\n" % i
        self.refused("import", self.write("x.csv", data))
        self.assertEqual(self.json("stats")["urls"], len(LINKS) + 1)  # good1 was free here


if __name__ == "__main__":
    main()

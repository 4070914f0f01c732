/* SPDX-License-Identifier: MIT */

/*
 * shortenerctl: administration of the shortener from a shell. The table of verbs, and what happens
 * around each: command line, help, clean-up, exit status. One thread.
 */

#include <errno.h>
#include <stdio.h>

#include "ctl/verbs.h"
#include "sys/fd.h"
#include "sys/log.h"

#define DRY_RUN \
 { "dry-run", NULL, "say what would happen, change nothing" }
#define YES \
 { "yes", NULL, "do not ask" }
#define INSTANCES \
 { "instances", "N", "how many (default: INSTANCES= of /etc/default/shortener)" }
#define ROOT \
 { "root", "DIRECTORY", "change the system below it, run no command" }
#define LIMIT \
 { "limit", "N", "at most N rows; 0: all (default: 100)" }
#define INSTANCES_OF_COMMAND 64
#define AFTER \
 { "after", "ID", "only rows behind this id" }

static const CommandVerb verbs[] = {
                {"db init", "", 0, 0, {}, "Make the store and its schema", verb_db_init},
                {"db migrate", "", 0, 0, {DRY_RUN}, "Bring the schema up to date", verb_db_migrate},
                {"db status",
                 "",
                 0,
                 0,
                 {},
                 "Show the store's schema, size and counts",
                 verb_db_status},
                {"seed",
                 "[DIRECTORY]",
                 0,
                 1,
                 {{"force", NULL, "replace what the store holds"}, DRY_RUN},
                 "Load users.csv, urls.csv and events.csv into an empty store",
                 verb_seed},
                {"import",
                 "FILE",
                 1,
                 1,
                 {{"type", "TYPE", "users, urls or events (default: as the columns say)"},
                  {"resume", NULL, "go on with an import that was interrupted"},
                  {"errors", "FILE", "keep refused rows in FILE (default: input.errors)"},
                  {"dry-run", NULL, "check the file's rows, store nothing"}},
                 "Add the rows of a CSV or JSON lines file",
                 verb_import},
                {"export",
                 "users|urls|events",
                 1,
                 1,
                 {{"format", "FORMAT", "csv or jsonl (default: csv, with --json jsonl)"},
                  {"output", "FILE", "write FILE, not standard output"}},
                 "Write all rows of one kind",
                 verb_export},
                {"user list", "", 0, 0, {LIMIT, AFTER}, "List users", verb_user_list},
                {"user show", "ID", 1, 1, {}, "Show a user", verb_user_show},
                {"user add", "USERNAME EMAIL", 2, 2, {}, "Add a user", verb_user_add},
                {"user edit",
                 "ID",
                 1,
                 1,
                 {{"username", "NAME", "the new name"}, {"email", "EMAIL", "the new address"}},
                 "Change a user",
                 verb_user_edit},
                {"user delete",
                 "ID",
                 1,
                 1,
                 {YES, DRY_RUN},
                 "Delete a user, not the user's links",
                 verb_user_delete},
                {"token create",
                 "NAME",
                 1,
                 1,
                 {{"user", "ID", "whose links it sees and changes"},
                  {"scopes", "LIST", "of read, write, admin (default: read,write)"},
                  {"expires", "SPAN", "when it ends, from now: 90d (default: never)"}},
                 "Make a token for the API and show it, once",
                 verb_token_create},
                {"token list", "", 0, 0, {LIMIT, AFTER}, "List tokens", verb_token_list},
                {"token revoke", "ID", 1, 1, {}, "End a token, at once", verb_token_revoke},
                {"link list",
                 "",
                 0,
                 0,
                 {LIMIT,
                  AFTER,
                  {"user", "ID", "only links of this user"},
                  {"active", NULL, "only links that redirect"},
                  {"inactive", NULL, "only links that do not"}},
                 "List links",
                 verb_link_list},
                {"link show", "LINK", 1, 1, {}, "Show a link, by id or short code", verb_link_show},
                {"link add",
                 "URL",
                 1,
                 1,
                 {{"user", "ID", "the owner"},
                  {"title", "TITLE", "the title"},
                  {"code", "CODE", "this short code (default: a random one)"}},
                 "Shorten a URL",
                 verb_link_add},
                {"link edit",
                 "LINK",
                 1,
                 1,
                 {{"url", "URL", "the new target"},
                  {"title", "TITLE", "the new title; empty: none"}},
                 "Change a link",
                 verb_link_edit},
                {"link disable",
                 "LINK",
                 1,
                 1,
                 {},
                 "Let a link redirect no more",
                 verb_link_disable},
                {"link enable", "LINK", 1, 1, {}, "Let a link redirect again", verb_link_enable},
                {"link delete",
                 "LINK",
                 1,
                 1,
                 {YES, DRY_RUN},
                 "Delete a link as the API does: it stays listed",
                 verb_link_delete},
                {"stats",
                 "[LINK]",
                 0,
                 1,
                 {},
                 "Show how often a link was visited, or all of them",
                 verb_stats},
                {"clicks status",
                 "",
                 0,
                 0,
                 {},
                 "Show how far visits are on their way to the store",
                 verb_clicks_status},
                {"clicks verify",
                 "",
                 0,
                 0,
                 {},
                 "Prove that no visit was lost or counted twice",
                 verb_clicks_verify},
                {"clicks ship",
                 "",
                 0,
                 0,
                 {},
                 "Bring in the visits of instances that do not run",
                 verb_clicks_ship},
                {"clicks adopt",
                 "DIRECTORY",
                 1,
                 1,
                 {},
                 "Bring in the visits of a spool from elsewhere",
                 verb_clicks_adopt},
                {"audit",
                 "",
                 0,
                 0,
                 {{"since", "TIME", "only from this time on; a span: so long ago"},
                  {"until", "TIME", "only from before this time"},
                  {"actor", "WHO", "token:ID, user:ID, open or shortenerctl:LOGIN"},
                  {"object", "KIND:ID", "of url, user, token or event"},
                  {"request", "ID", "only what this request did"},
                  LIMIT},
                 "Show who changed what, newest first",
                 verb_audit},
                {"start",
                 "N...",
                 1,
                 INSTANCES_OF_COMMAND,
                 {},
                 "Start instances, sockets and services",
                 verb_start},
                {"stop",
                 "N...",
                 1,
                 INSTANCES_OF_COMMAND,
                 {},
                 "Stop instances, sockets and services",
                 verb_stop},
                {"reload",
                 "[N]...",
                 0,
                 INSTANCES_OF_COMMAND,
                 {},
                 "Have instances read the configuration again",
                 verb_reload},
                {"rolling-restart",
                 "[N]...",
                 0,
                 INSTANCES_OF_COMMAND,
                 {},
                 "Restart instances one after the other",
                 verb_rolling_restart},
                {"recover", "", 0, 0, {}, "Start the instances that have failed", verb_recover},
                {"nginx-upstream",
                 "N",
                 1,
                 1,
                 {},
                 "Print nginx's upstreams for N instances",
                 verb_nginx_upstream},
                {"doctor",
                 "",
                 0,
                 0,
                 {INSTANCES},
                 "Check each part and say what to do",
                 verb_doctor},
                {"config show",
                 "",
                 0,
                 0,
                 {},
                 "Show the configuration that is in effect",
                 verb_config_show},
                {"monitoring enable",
                 "",
                 0,
                 0,
                 {INSTANCES, ROOT, DRY_RUN},
                 "Point Prometheus and its exporters at our configuration",
                 verb_monitoring_enable},
                {"monitoring disable",
                 "",
                 0,
                 0,
                 {ROOT, DRY_RUN},
                 "Give them back their packages' configuration",
                 verb_monitoring_disable},
                {"monitoring targets",
                 "",
                 0,
                 0,
                 {INSTANCES, ROOT, DRY_RUN},
                 "Tell Prometheus anew which instances there are",
                 verb_monitoring_targets},
};

static int print_help(Ctl *ctl) {
        command_help(verbs, ELEMENTSOF(verbs), ctl->command.family, ctl->command.verb, &ctl->out);
        return ctl_print(ctl);
}

static int print_version(Ctl *ctl) {
        buffer_append(&ctl->out, SLICE("shortenerctl " SHORTENER_VERSION "\n"));
        return ctl_print(ctl);
}

static int bad_usage(const Ctl *ctl, const char *error) {
        const char *verb = ctl->command.verb ? ctl->command.verb->name : ctl->command.family;

        ctl_error(NULL, "%s", error ? error : strerror(ENOMEM));
        (void)fprintf(stderr, "Try 'shortenerctl %s%s--help'.\n", verb ? verb : "",
                      verb ? " " : "");
        return EXIT_USAGE;
}

int main(int argc, char **argv) {
        _cleanup_free_ char *error = NULL;
        Ctl ctl = {};
        int r;

        fd_keep_standard();
        log_open("shortenerctl", LOG_FORMAT_TEXT, LOG_NOTICE);
        arena_init(&ctl.arena, 0);
        if (command_parse(verbs, ELEMENTSOF(verbs), argc, argv, &ctl.command, &error) < 0)
                r = bad_usage(&ctl, error);
        else if (ctl.command.help)
                r = print_help(&ctl);
        else if (ctl.command.version)
                r = print_version(&ctl);
        else
                r = ctl.command.verb->run(&ctl);
        ctl_done(&ctl);
        return r;
}

/* SPDX-License-Identifier: MIT */

/*
 * `shortenerctl clicks status|verify|ship|adopt`: visits on their way from the spools into the
 * store, and the proof that none was lost or repeated.
 */

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "clicks/adopt.h"
#include "clicks/verify.h"
#include "ctl/output.h"
#include "ctl/verbs.h"

/* ---- status ---- */

static void instance_json(Buffer *out, const HostSlotInfo *slot, bool first) {
        buffer_append(out, first ? SLICE("{\"alive\":") : SLICE(",{\"alive\":"));
        buffer_append(out, slot->alive ? SLICE("true") : SLICE("false"));
        buffer_printf(out, ",\"appended\":%" PRIu64 ",\"directory\":", slot->appended);
        output_string_json(out, slice_from_string(slot->directory));
        buffer_append(out, SLICE(",\"name\":"));
        output_string_json(out, slice_from_string(slot->name));
        buffer_printf(out, ",\"pending\":%" PRIu64 ",\"shed\":%" PRIu64 ",\"shipped\":%" PRIu64 "}",
                      slot->appended - slot->shipped, slot->shed, slot->shipped);
}

static void instance_line(Buffer *lines, const HostSlotInfo *slot) {
        buffer_printf(lines, "%s\t%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%s\n",
                      slot->name, slot->alive ? "yes" : "no", slot->appended, slot->shipped,
                      slot->appended - slot->shipped, slot->shed, slot->directory);
}

static void add_instances(Ctl *ctl, Buffer *lines) {
        HostSlotInfo slots[HOST_SLOTS] = {};
        bool first = true;

        if (ctl->page)
                host_page_slots(ctl->page, slots);
        for (size_t i = 0; i < HOST_SLOTS; i++) {
                if (!slots[i].used || slots[i].directory[0] == '\0')
                        continue;
                if (ctl->command.json)
                        instance_json(&ctl->out, &slots[i], first);
                else
                        instance_line(lines, &slots[i]);
                first = false;
        }
}

static void spool_json(Buffer *out, const char *id, const StoreOffset *offset) {
        buffer_printf(out, "{\"bad\":%" PRIu64 ",\"damaged\":%" PRIu64 ",\"first_seq\":%" PRIu64,
                      offset->bad, offset->damaged, offset->first_seq);
        buffer_printf(out, ",\"id\":\"%s\",\"next_seq\":%" PRIu64 ",\"rows\":%" PRIu64, id,
                      offset->next_seq, offset->rows);
        buffer_printf(out, ",\"shed\":%" PRIu64, offset->shed);
}

static void spool_line(Buffer *lines, const char *id, const StoreOffset *offset) {
        buffer_printf(lines, "%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t", id, offset->first_seq,
                      offset->next_seq, offset->rows);
        buffer_printf(lines, "%" PRIu64 "\t%" PRIu64 "\t%" PRIu64, offset->shed, offset->bad,
                      offset->damaged);
}

static int add_spools(Ctl *ctl, Buffer *lines) {
        StoreOffset *offsets;
        size_t n;
        int r;

        r = store_offset_list(ctl->session, &ctl->arena, &offsets, &n);
        if (r != 0)
                return ctl_store_failed(ctl, r);
        for (size_t i = 0; i < n; i++) {
                char id[SPOOL_ID_TEXT_SIZE];

                segment_id_format(offsets[i].spool, id);
                if (!ctl->command.json) {
                        spool_line(lines, id, &offsets[i]);
                        buffer_append_byte(lines, '\n');
                        continue;
                }
                if (i > 0)
                        buffer_append_byte(&ctl->out, ',');
                spool_json(&ctl->out, id, &offsets[i]);
                buffer_append_byte(&ctl->out, '}');
        }
        return EXIT_DONE;
}

static int print_status(Ctl *ctl, Buffer *instances, Buffer *spools) {
        Buffer *out = &ctl->out;
        int r;

        if (ctl->command.json)
                buffer_append(out, SLICE("{\"instances\":["));
        buffer_append(instances,
                      SLICE("INSTANCE\tALIVE\tAPPENDED\tSHIPPED\tPENDING\tSHED\tDIRECTORY\n"));
        add_instances(ctl, instances);
        if (ctl->command.json)
                buffer_append(out, SLICE("],\"spools\":["));
        buffer_append(spools, SLICE("SPOOL\tFIRST\tNEXT\tROWS\tSHED\tBAD\tDAMAGED\n"));
        r = add_spools(ctl, spools);
        if (r != EXIT_DONE)
                return r;
        if (ctl->command.json) {
                buffer_append(out, SLICE("]}\n"));
        } else {
                output_align(out, buffer_slice(instances), 0x3C);
                buffer_append_byte(out, '\n');
                output_align(out, buffer_slice(spools), 0x7E);
        }
        if (instances->failed || spools->failed)
                out->failed = true;
        return ctl_print(ctl);
}

int verb_clicks_status(Ctl *ctl) {
        Buffer instances = BUFFER_EMPTY, spools = BUFFER_EMPTY;
        int r;

        r = ctl_open(ctl, CTL_READ);
        if (r == EXIT_DONE) {
                ctl_try_page(ctl);
                r = print_status(ctl, &instances, &spools);
        }
        buffer_done(&instances);
        buffer_done(&spools);
        return r;
}

/* ---- verify ---- */

static void verify_json(Buffer *out, const Verify *verify) {
        buffer_printf(out, "{\"duplicates\":%" PRId64 ",\"list_drift\":%" PRId64,
                      verify->audit.duplicates, verify->audit.list_drift);
        buffer_printf(out, ",\"rows\":%" PRId64 ",\"sound\":%s,\"spools\":[",
                      verify->audit.rows_per_spools, verify->sound ? "true" : "false");
        for (size_t i = 0; i < verify->n_spools; i++) {
                const VerifySpool *spool = &verify->spools[i];

                if (i > 0)
                        buffer_append_byte(out, ',');
                spool_json(out, spool->id, &spool->offset);
                buffer_printf(out, ",\"rows_found\":%" PRId64 ",\"sound\":%s}", spool->rows_found,
                              spool->sound ? "true" : "false");
        }
        buffer_printf(out, "],\"total_drift\":%" PRId64 "}\n", verify->audit.total_drift);
}

static void verify_verdict(Buffer *out, const Verify *verify) {
        StoreOffset sum = {.rows = 0};

        if (!verify->sound) {
                buffer_append(out, SLICE("DRIFT: the figures above do not agree.\n"));
                return;
        }
        for (size_t i = 0; i < verify->n_spools; i++) {
                sum.shed += verify->spools[i].offset.shed;
                sum.bad += verify->spools[i].offset.bad;
                sum.damaged += verify->spools[i].offset.damaged;
        }
        if (sum.shed + sum.bad + sum.damaged == 0) {
                buffer_append(out, SLICE("No visit was lost or counted twice.\n"));
                return;
        }
        buffer_printf(out,
                      "No visit was counted twice; %" PRIu64 " are not in the store: %" PRIu64
                      " shed while the spool was full, %" PRIu64 " refused by the store and kept "
                      "beside the spool, %" PRIu64 " damaged on the disk.\n",
                      sum.shed + sum.bad + sum.damaged, sum.shed, sum.bad, sum.damaged);
}

static void verify_lines(Buffer *out, const Verify *verify) {
        Buffer lines = BUFFER_EMPTY;

        if (verify->n_spools > 0)
                buffer_append(&lines,
                              SLICE("SPOOL\tFIRST\tNEXT\tROWS\tSHED\tBAD\tDAMAGED\tFOUND\tIS\n"));
        for (size_t i = 0; i < verify->n_spools; i++) {
                const VerifySpool *spool = &verify->spools[i];

                spool_line(&lines, spool->id, &spool->offset);
                buffer_printf(&lines, "\t%" PRId64 "\t%s\n", spool->rows_found,
                              spool->sound ? "sound" : "UNSOUND");
        }
        output_align(out, buffer_slice(&lines), 0xFE);
        if (lines.failed)
                out->failed = true;
        buffer_done(&lines);
        buffer_printf(out, "visits from spools: %" PRId64 ", twice: %" PRId64 "\n",
                      verify->audit.rows_per_spools, verify->audit.duplicates);
        buffer_printf(out,
                      "links whose total is off: %" PRId64 "; list counters off by: %" PRId64 "\n",
                      verify->audit.total_drift, verify->audit.list_drift);
        verify_verdict(out, verify);
}

int verb_clicks_verify(Ctl *ctl) {
        Verify verify;
        int r;

        r = ctl_open(ctl, CTL_READ);
        if (r != EXIT_DONE)
                return r;
        ctl_deadline(ctl, 0); /* it counts everything */
        r = clicks_verify(ctl->session, &ctl->arena, &verify);
        if (r != 0)
                return ctl_store_failed(ctl, r);
        if (ctl->command.json)
                verify_json(&ctl->out, &verify);
        else
                verify_lines(&ctl->out, &verify);
        r = ctl_print(ctl);
        return r == EXIT_DONE && !verify.sound ? EXIT_FAILED : r;
}

/* ---- ship, adopt ---- */

static int adopt_failed(const Ctl *ctl, const char *directory, int r) {
        switch (r) {
        case -EADDRINUSE:
                ctl_error(directory, "a process writes there: it ships its visits itself");
                return EXIT_AGAIN;
        case -ENOTRECOVERABLE:
                ctl_error(directory, "the store refused a hundred visits in a row: see the .bad "
                                     "files there");
                return EXIT_FAILED;
        case -ENOENT:
        case -ENOTDIR:
        case -EACCES:
                ctl_error(directory, "%s", strerror(-r));
                return EXIT_FAILED;
        default:
                return ctl_store_failed(ctl, r);
        }
}

/* Ships one folder and adds what came of it to *total. */
static int ship_folder(Ctl *ctl, const char *directory, AdoptResult *total) {
        AdoptResult result = {};
        int r;

        r = clicks_adopt(directory, ctl->store, ctl_hooks(ctl), ctl->page, &result);
        total->shipped += result.shipped;
        total->bad += result.bad;
        total->damaged += result.damaged;
        return r == 0 ? EXIT_DONE : adopt_failed(ctl, directory, r);
}

static int report_shipped(Ctl *ctl, const AdoptResult *result) {
        Buffer *out = &ctl->out;

        if (ctl->command.json)
                buffer_printf(out,
                              "{\"bad\":%" PRIu64 ",\"damaged\":%" PRIu64 ",\"shipped\":%" PRIu64
                              "}\n",
                              result->bad, result->damaged, result->shipped);
        else
                buffer_printf(out,
                              "Shipped %" PRIu64 " visits, refused %" PRIu64 ", damaged %" PRIu64
                              "\n",
                              result->shipped, result->bad, result->damaged);
        return ctl_print(ctl);
}

/* The folders of instances that are not running. */
static int ship_dead(Ctl *ctl, AdoptResult *total) {
        HostSlotInfo slots[HOST_SLOTS];
        int result = EXIT_DONE;

        if (!ctl->page) {
                ctl_error("clicks ship", "no instance has run here: name a folder with "
                                         "\"shortenerctl clicks adopt\"");
                return EXIT_FAILED;
        }
        host_page_slots(ctl->page, slots);
        for (unsigned i = 0; i < HOST_SLOTS; i++) {
                int r;

                if (!slots[i].used || slots[i].alive || slots[i].directory[0] == '\0')
                        continue;
                r = ship_folder(ctl, slots[i].directory, total);
                if (r == EXIT_DONE)
                        (void)host_neighbour_drained(ctl->page, i, slots[i].claim);
                else
                        result = r;
        }
        return result;
}

int verb_clicks_ship(Ctl *ctl) {
        AdoptResult total = {};
        int r;

        r = ctl_open(ctl, CTL_WRITE);
        if (r == EXIT_DONE)
                r = ship_dead(ctl, &total);
        return r == EXIT_DONE ? report_shipped(ctl, &total) : r;
}

/* Does the argument name a spool? The shipper's locks are left in no other folder. */
static int check_adoptable(const Ctl *ctl, const char *directory) {
        int r = clicks_adoptable(directory);

        if (r < 0)
                return adopt_failed(ctl, directory, r);
        if (r > 0)
                return EXIT_DONE;
        ctl_error(directory,
                  "this is no spool, it has no file UUID.NUMBER.seg: name the folder with "
                  "these files, such as /var/lib/shortener/1/spool of the dead host");
        return EXIT_USAGE;
}

int verb_clicks_adopt(Ctl *ctl) {
        const char *directory = ctl->command.arguments[0];
        AdoptResult total = {};
        int r;

        r = ctl_open(ctl, CTL_WRITE);
        if (r == EXIT_DONE)
                r = check_adoptable(ctl, directory);
        if (r == EXIT_DONE)
                r = ship_folder(ctl, directory, &total);
        return r == EXIT_DONE ? report_shipped(ctl, &total) : r;
}

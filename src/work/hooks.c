/* SPDX-License-Identifier: MIT */

/* The hooks, each on the thread of the session that calls it. */

#include "work/hooks.h"

#include "host/gate.h"

static void on_waiting(void *userdata, int delta) {
        HostWriter *writer = userdata;

        host_slot_waiting(writer->slot, delta);
}

static int on_enter(void *userdata, uint64_t deadline_usec, void **ret_pass) {
        HostWriter *writer = userdata;

        return host_gate_enter(writer->page, deadline_usec, ret_pass);
}

static void on_leave(void *userdata _unused_, void *pass) {
        host_gate_leave(pass);
}

static unsigned on_n_waiting(void *userdata) {
        HostWriter *writer = userdata;

        return host_page_n_waiting(writer->page);
}

static void on_committing(void *userdata, const Slice *codes, size_t n_codes) {
        HostWriter *writer = userdata;

        host_writer_committing(writer->slot, writer->index, codes, n_codes);
}

static void on_making(void *userdata, const Slice *codes, size_t n_codes) {
        HostWriter *writer = userdata;

        host_writer_making(writer->slot, writer->index, codes, n_codes);
}

static void on_committed(void *userdata) {
        HostWriter *writer = userdata;

        host_writer_committed(writer->slot, writer->index);
}

StoreHooks host_writer_hooks(HostWriter *writer) {
        return (StoreHooks){
                        .userdata = writer,
                        .enter = on_enter,
                        .leave = on_leave,
                        .waiting = on_waiting,
                        .n_waiting = on_n_waiting,
                        .committing = on_committing,
                        .making = on_making,
                        .committed = on_committed,
        };
}

/* SPDX-License-Identifier: MIT */

/* `shortenerctl config show`: the configuration that is in effect. */

#include "config/config.h"
#include "ctl/output.h"
#include "ctl/verbs.h"

/* The lines of the dump as an array, because a key may be there more than once. */
static void show_json(Buffer *out, Slice dump) {
        Slice line, section = SLICE_NONE, key, value;
        bool first = true;

        buffer_append_byte(out, '[');
        while (dump.len > 0) {
                (void)slice_cut(dump, '\n', &line, &dump);
                if (line.len == 0 || line.data[0] == '#')
                        continue;
                if (line.data[0] == '[') {
                        section = slice_sub(line, 1, line.len - 1);
                        continue;
                }
                (void)slice_cut(line, '=', &key, &value);
                buffer_printf(out, "%s{\"key\":\"%.*s.%.*s\",\"value\":", first ? "" : ",",
                              SLICE_ARG(section), SLICE_ARG(key));
                output_string_json(out, value.len > 0 ? value : SLICE(""));
                buffer_append_byte(out, '}');
                first = false;
        }
        buffer_append(out, SLICE("]\n"));
}

int verb_config_show(Ctl *ctl) {
        Buffer dump = BUFFER_EMPTY;
        int r;

        r = ctl_configure(ctl);
        if (r != EXIT_DONE)
                return r;
        config_dump(options_table, n_options, &ctl->options, &dump);
        if (ctl->command.json)
                show_json(&ctl->out, buffer_slice(&dump));
        else
                buffer_append(&ctl->out, buffer_slice(&dump));
        if (dump.failed)
                ctl->out.failed = true;
        buffer_done(&dump);
        return ctl_print(ctl);
}

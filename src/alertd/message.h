/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Messages for targets, made of alerts. Discord takes at most 10 embeds a message, 6000 characters
 * in them together, and refuses a message with a field that is empty or too long.
 */

#include "alertd/queue.h"

#define DISCORD_EMBEDS_MAX     10u
#define DISCORD_CHARACTERS_MAX 6000u /* of all embeds of a message */
#define DISCORD_TITLE_MAX      256u
#define DISCORD_VALUE_MAX      1024u
#define WEBHOOK_ALERTS_MAX     100u

/* Alerts of the queue behind seq as one message: as many as fit, at most max, at least one if there
 * is one. Returns how many; *ret_seq is the last of them. 0: there is none, or no memory
 * (out->failed). */
size_t discord_message(const Queue *queue, uint64_t seq, size_t max, const char *grafana_url,
                       Buffer *out, uint64_t *ret_seq);
size_t webhook_message(const Queue *queue, uint64_t seq, size_t max, Buffer *out,
                       uint64_t *ret_seq);

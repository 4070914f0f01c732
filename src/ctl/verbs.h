/* SPDX-License-Identifier: MIT */
#pragma once

/* The verbs' functions, by family; the table in main.c has their words, options and help. */

#include "ctl/context.h"

int verb_db_init(Ctl *ctl);
int verb_db_migrate(Ctl *ctl);
int verb_db_status(Ctl *ctl);

int verb_seed(Ctl *ctl);
int verb_import(Ctl *ctl);
int verb_export(Ctl *ctl);

int verb_user_list(Ctl *ctl);
int verb_user_show(Ctl *ctl);
int verb_user_add(Ctl *ctl);
int verb_user_edit(Ctl *ctl);
int verb_user_delete(Ctl *ctl);

int verb_token_create(Ctl *ctl);
int verb_token_list(Ctl *ctl);
int verb_token_revoke(Ctl *ctl);

int verb_link_list(Ctl *ctl);
int verb_link_show(Ctl *ctl);
int verb_link_add(Ctl *ctl);
int verb_link_edit(Ctl *ctl);
int verb_link_disable(Ctl *ctl);
int verb_link_enable(Ctl *ctl);
int verb_link_delete(Ctl *ctl);
int verb_stats(Ctl *ctl);

int verb_clicks_status(Ctl *ctl);
int verb_clicks_verify(Ctl *ctl);
int verb_clicks_ship(Ctl *ctl);
int verb_clicks_adopt(Ctl *ctl);

int verb_audit(Ctl *ctl);
int verb_doctor(Ctl *ctl);
int verb_config_show(Ctl *ctl);

int verb_start(Ctl *ctl);
int verb_stop(Ctl *ctl);
int verb_reload(Ctl *ctl);
int verb_rolling_restart(Ctl *ctl);
int verb_recover(Ctl *ctl);
int verb_nginx_upstream(Ctl *ctl);

int verb_monitoring_enable(Ctl *ctl);
int verb_monitoring_disable(Ctl *ctl);
int verb_monitoring_targets(Ctl *ctl);

/* SPDX-License-Identifier: MIT */
#pragma once

/* The role and the database of a PostgreSQL on this host, which `shortenerctl db init` makes when
 * root runs it. */

#include "ctl/context.h"

/* For a store "postgresql:///NAME" and a service that has a user: what is missing of the role of
 * that user's name and of the database NAME, by way of the account postgres. Does nothing for other
 * stores and for who is not root. An ExitStatus; what was wrong has been said. */
int role_make(const Ctl *ctl) _must_check_;

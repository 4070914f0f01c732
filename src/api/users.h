/* SPDX-License-Identifier: MIT */
#pragma once

/* The words about a user's fields, the same for a JSON body and a row of CSV. */

#define USERS_USERNAME_REQUIRED "username is required"
#define USERS_USERNAME_TOO_LONG "username must be 255 characters or fewer"
#define USERS_EMAIL_REQUIRED    "email is required"
#define USERS_EMAIL_TOO_LONG    "email must be 255 characters or fewer"
#define USERS_EMAIL_INVALID     "Invalid email format"
#define USERS_USERNAME_TAKEN    "Username already exists"
#define USERS_EMAIL_TAKEN       "Email already exists"

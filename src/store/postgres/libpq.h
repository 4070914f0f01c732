/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * libpq, loaded when the first store of PostgreSQL is opened: it brings Kerberos, LDAP and TLS
 * along, 3 MB of a process that may never need them. Behind this header its functions are called
 * by their names.
 */

#include <libpq-fe.h>

#include "basic/check.h"

#define LIBPQ_FUNCTIONS(X) \
 X(PQclear)                \
 X(PQcmdStatus)            \
 X(PQconnectPoll)          \
 X(PQconnectStartParams)   \
 X(PQconninfoFree)         \
 X(PQconninfoParse)        \
 X(PQconsumeInput)         \
 X(PQenterPipelineMode)    \
 X(PQerrorMessage)         \
 X(PQexitPipelineMode)     \
 X(PQfinish)               \
 X(PQflush)                \
 X(PQfreemem)              \
 X(PQgetResult)            \
 X(PQgetisnull)            \
 X(PQgetlength)            \
 X(PQgetvalue)             \
 X(PQisBusy)               \
 X(PQnotifies)             \
 X(PQntuples)              \
 X(PQpipelineSync)         \
 X(PQputCopyData)          \
 X(PQputCopyEnd)           \
 X(PQresultErrorField)     \
 X(PQresultStatus)         \
 X(PQsendPrepare)          \
 X(PQsendQuery)            \
 X(PQsendQueryParams)      \
 X(PQsendQueryPrepared)    \
 X(PQsetErrorVerbosity)    \
 X(PQsetNoticeReceiver)    \
 X(PQsetnonblocking)       \
 X(PQsocket)               \
 X(PQstatus)               \
 X(PQtransactionStatus)

typedef struct Libpq {
#define LIBPQ_MEMBER(name) __typeof__(&name) call_##name;
        LIBPQ_FUNCTIONS(LIBPQ_MEMBER)
#undef LIBPQ_MEMBER
} Libpq;

extern Libpq libpq;

/* Before the first of its functions is called. -ELIBACC. */
int libpq_load(void) _must_check_;

#define PQclear              libpq.call_PQclear
#define PQcmdStatus          libpq.call_PQcmdStatus
#define PQconnectPoll        libpq.call_PQconnectPoll
#define PQconnectStartParams libpq.call_PQconnectStartParams
#define PQconninfoFree       libpq.call_PQconninfoFree
#define PQconninfoParse      libpq.call_PQconninfoParse
#define PQconsumeInput       libpq.call_PQconsumeInput
#define PQenterPipelineMode  libpq.call_PQenterPipelineMode
#define PQerrorMessage       libpq.call_PQerrorMessage
#define PQexitPipelineMode   libpq.call_PQexitPipelineMode
#define PQfinish             libpq.call_PQfinish
#define PQflush              libpq.call_PQflush
#define PQfreemem            libpq.call_PQfreemem
#define PQgetResult          libpq.call_PQgetResult
#define PQgetisnull          libpq.call_PQgetisnull
#define PQgetlength          libpq.call_PQgetlength
#define PQgetvalue           libpq.call_PQgetvalue
#define PQisBusy             libpq.call_PQisBusy
#define PQnotifies           libpq.call_PQnotifies
#define PQntuples            libpq.call_PQntuples
#define PQpipelineSync       libpq.call_PQpipelineSync
#define PQputCopyData        libpq.call_PQputCopyData
#define PQputCopyEnd         libpq.call_PQputCopyEnd
#define PQresultErrorField   libpq.call_PQresultErrorField
#define PQresultStatus       libpq.call_PQresultStatus
#define PQsendPrepare        libpq.call_PQsendPrepare
#define PQsendQuery          libpq.call_PQsendQuery
#define PQsendQueryParams    libpq.call_PQsendQueryParams
#define PQsendQueryPrepared  libpq.call_PQsendQueryPrepared
#define PQsetErrorVerbosity  libpq.call_PQsetErrorVerbosity
#define PQsetNoticeReceiver  libpq.call_PQsetNoticeReceiver
#define PQsetnonblocking     libpq.call_PQsetnonblocking
#define PQsocket             libpq.call_PQsocket
#define PQstatus             libpq.call_PQstatus
#define PQtransactionStatus  libpq.call_PQtransactionStatus

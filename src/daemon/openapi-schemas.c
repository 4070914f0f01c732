/* SPDX-License-Identifier: MIT */

/* JSON Schemas of the OpenAPI document, from the rows of openapi-tables.c. */

#include "daemon/openapi-document.h"

static const char *type_name(OpenapiType type) {
        switch (type) {
        case OPENAPI_ID:
        case OPENAPI_COUNT:
                return "integer";
        case OPENAPI_BOOLEAN:
                return "boolean";
        case OPENAPI_OBJECT:
                return "object";
        case OPENAPI_SCHEMAS:
                return "array";
        case OPENAPI_TEXT:
        case OPENAPI_TIME:
        case OPENAPI_FILE:
        case OPENAPI_SCHEMA:
        default:
                return "string";
        }
}

/* A text that must be there is not empty. */
static void limit_text(Document *document, json_t *schema, const OpenapiField *field) {
        json_t *words = json_array();

        if (field->max > 0 && !field->nullable)
                put(document, schema, "minLength", json_integer(1));
        if (field->max > 0)
                put(document, schema, "maxLength", json_integer(field->max));
        for (size_t i = 0; i < ELEMENTSOF(field->words) && field->words[i]; i++)
                add(document, words, json_string(field->words[i]));
        if (json_array_size(words) > 0)
                put(document, schema, "enum", words);
        else
                json_decref(words);
}

static void limit(Document *document, json_t *schema, const OpenapiField *field) {
        if (field->type == OPENAPI_TEXT)
                limit_text(document, schema, field);
        else if (field->type == OPENAPI_ID || field->type == OPENAPI_COUNT)
                put(document, schema, "minimum", json_integer(field->type == OPENAPI_ID));
        else if (field->type == OPENAPI_TIME)
                put_text(document, schema, "pattern",
                         "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}$");
        else if (field->type == OPENAPI_FILE)
                put_text(document, schema, "contentMediaType", "text/csv");
        else if (field->type == OPENAPI_SCHEMAS) {
                put(document, schema, "items", reference("schemas", field->of));
                put(document, schema, "maxItems", json_integer(field->max));
        }
}

json_t *openapi_field_schema(Document *document, const OpenapiField *field) {
        json_t *schema;

        if (field->type == OPENAPI_SCHEMA)
                return reference("schemas", field->of);
        schema = json_object();
        put(document, schema, "type",
            field->nullable ? json_pack("[ss]", type_name(field->type), "null")
                            : json_string(type_name(field->type)));
        limit(document, schema, field);
        return schema;
}

static json_t *one_of(Document *document, const OpenapiSchema *row) {
        json_t *result = json_array();

        for (size_t i = 0; i < ELEMENTSOF(row->one_of) && row->one_of[i]; i++)
                add(document, result, json_pack("{s:[s]}", "required", row->one_of[i]));
        return result;
}

json_t *openapi_schema(Document *document, const OpenapiSchema *row) {
        json_t *schema = json_object(), *properties = json_object(), *required = json_array();

        for (size_t i = 0; i < OPENAPI_FIELDS_MAX && row->fields[i].name; i++) {
                const OpenapiField *field = row->fields + i;
                json_t *property = openapi_field_schema(document, field);

                if (field->about)
                        put_text(document, property, "description", field->about);
                put(document, properties, field->name, property);
                if (!field->optional)
                        add(document, required, json_string(field->name));
        }
        put_text(document, schema, "type", "object");
        put(document, schema, "properties", properties);
        if (json_array_size(required) > 0)
                put(document, schema, "required", required);
        else
                json_decref(required);
        if (row->one_of[0])
                put(document, schema, "anyOf", one_of(document, row));
        if (!row->sent)
                put(document, schema, "additionalProperties", json_false());
        return schema;
}

// Reading JSON that Balm has checked and normalised: it parses, stands on one line, and no key is twice in an object.
#pragma once

#include "balm.h"

// The value that begins here, and where it ends.
static inline balm_json json_value(const char *at, const char *end) {
    const char *from = at;
    int depth = 0;
    do {
        if (*at == '"') {
            for (at++; at < end && *at != '"'; at++) at += *at == '\\';
        }
        depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
        at++;
    } while (at < end && (depth > 0 || (*at != ',' && *at != '}' && *at != ']' && *at != ':')));
    return (balm_json){ from, at - from };
}

// The items of an array, or the keys and values of an object in turn: NULL when there is no further.
typedef struct { const char *at, *end; } json_items;

static inline json_items json_open(balm_json json) {
    return (json_items){ json.at + 1, json.at + json.length - 1 };
}

static inline bool json_next(json_items *items, balm_json *item) {
    if (items->at >= items->end) return false;
    *item = json_value(items->at, items->end);
    items->at = item->at + item->length + 1;  // the comma or colon
    return true;
}

// The value of a key, which is spelt without escapes.
static inline bool json_get(balm_json object, const char *key, balm_json *value) {
    balm_json name;
    if (object.length == 0 || *object.at != '{') return false;
    for (json_items items = json_open(object); json_next(&items, &name) && json_next(&items, value);) {
        if (name.length == strlen(key) + 2 && memcmp(name.at + 1, key, name.length - 2) == 0) return true;
    }
    return false;
}

// A whole number from 0 to `most`.
static inline bool json_count(balm_json json, uint64_t most, uint64_t *count) {
    *count = 0;
    for (uint32_t i = 0; i < json.length; i++) {
        char digit = json.at[i];
        if (digit < '0' || digit > '9' || __builtin_mul_overflow(*count, 10, count)) return false;
        if (__builtin_add_overflow(*count, (uint64_t)(digit - '0'), count) || *count > most) return false;
    }
    return json.length > 0;
}

static inline bool json_get_count(balm_json object, const char *key, uint64_t most, uint64_t *count) {
    balm_json value;
    return json_get(object, key, &value) && json_count(value, most, count);
}

static inline uint32_t json_length(balm_json array) {
    balm_json item;
    uint32_t length = 0;
    for (json_items items = json_open(array); json_next(&items, &item);) length++;
    return length;
}

static inline uint32_t json_hex(const char *at) {
    char digits[5] = { at[0], at[1], at[2], at[3], 0 };
    return strtoul(digits, NULL, 16);
}

static inline char *json_utf8(uint32_t c, char *to) {
    if (c < 0x80) return *to = c, to + 1;
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = { 0, 0xc0, 0xe0, 0xf0 };
    *to++ = lead[more] | c >> 6 * more;
    while (more-- > 0) *to++ = 0x80 | (c >> 6 * more & 0x3f);
    return to;
}

// What a string says.
static inline bool json_text(balm_json json, balm_text *text) {
    if (json.length < 2 || *json.at != '"') return false;
    char *out = balm_take(json.length), *to = out;
    for (const char *at = json.at + 1, *end = json.at + json.length - 1; at < end; at++) {
        if (*at != '\\') { *to++ = *at; continue; }
        static const char from_escape[] = "b\bf\fn\nr\rt\t";
        const char *known = strchr(from_escape, *++at);
        if (*at != 'u') { *to++ = known ? known[1] : *at; continue; }
        uint32_t c = json_hex(at + 1);
        at += 4;
        if (c >= 0xd800 && c < 0xdc00) {  // the first half of a pair
            c = 0x10000 + ((c - 0xd800) << 10) + json_hex(at + 3) - 0xdc00;
            at += 6;
        }
        to = json_utf8(c, to);
    }
    *text = (balm_text){ out, to - out };
    return true;
}

// The contract balm:policy@0.1.0 in C, by hand: every type lies in memory as the component model's canonical ABI lays it out
// for wasm32, so nothing is converted. A policy defines the three functions at the end.
//
// An instance lives for one call: memory is taken and never given back.
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// UTF-8, not ended by a zero.
typedef struct { const char *at; uint32_t length; } balm_text;

// JSON is a text that holds JSON; times are milliseconds since 1970.
typedef balm_text balm_json;
typedef uint64_t balm_time;

typedef struct { balm_text name, value; } balm_pair;
typedef struct { balm_text name; double value; } balm_value;
typedef struct { bool is_some; balm_time value; } balm_maybe_time;
typedef struct { bool is_some; uint32_t value; } balm_maybe_u32;
typedef struct { bool is_some; balm_text value; } balm_maybe_text;

typedef struct { const balm_text *at; uint32_t length; } balm_texts;
typedef struct { const balm_pair *at; uint32_t length; } balm_pairs;
typedef struct { const balm_value *at; uint32_t length; } balm_values;

typedef struct {
    balm_text source, org, fingerprint;
    uint8_t is_resolved;
    balm_text name;
    balm_pairs labels, annotations;
    balm_values values;
    balm_maybe_time starts_at, ends_at;
} balm_alert;

typedef struct {
    balm_text action, target;
    balm_time at;
    balm_text state;
    balm_json before, after;
} balm_past_intent;

typedef struct { balm_text kind, target; balm_json parameters; } balm_query;

typedef struct {
    balm_query query;
    uint8_t is_error;
    balm_text reading;  // JSON, or why there is none
    balm_time at;
} balm_answer;

typedef struct { const balm_answer *at; uint32_t length; } balm_answers;
typedef struct { const balm_past_intent *at; uint32_t length; } balm_history;

typedef struct {
    balm_alert alert;
    balm_text policy;
    balm_texts targets;
    balm_json settings;
    balm_answers answers;
    balm_text trigger;
    balm_history history;
    balm_time now;
    uint64_t seed;
    balm_json extra;
} balm_input;

typedef struct {
    balm_text action, target;
    balm_json parameters, expects;
    balm_maybe_u32 verify_within;
    uint8_t undo;
    balm_text reason;
} balm_intent;

typedef struct { const balm_intent *at; uint32_t length; } balm_intents;
typedef struct { const balm_query *at; uint32_t length; } balm_queries;

typedef struct {
    balm_intents intents;
    balm_text explanation;
    balm_maybe_u32 look_again_after;
    balm_json extra;
} balm_decision;

// result<outcome, string>
typedef struct {
    uint8_t is_error;
    union {
        struct {
            uint8_t is_needs;
            union { balm_decision decided; balm_queries needs; };
        };
        balm_text error;
    };
} balm_outcome;

// result<_, string>
typedef struct { uint8_t is_error; balm_text error; } balm_verdict;

typedef struct {
    balm_maybe_text name;
    balm_text version, summary;
    balm_texts actions, queries;
    balm_json settings_schema;
} balm_manifest;

// As the canonical ABI has them (component model, CanonicalABI.md): a mistake above is found here.
_Static_assert(sizeof(balm_input) == 168 && _Alignof(balm_input) == 8, "input");
_Static_assert(sizeof(balm_answer) == 48 && sizeof(balm_past_intent) == 48, "answer, past-intent");
_Static_assert(sizeof(balm_intent) == 52 && sizeof(balm_outcome) == 40, "intent, outcome");
_Static_assert(sizeof(balm_manifest) == 52 && sizeof(balm_verdict) == 12, "manifest, verdict");

// A text that stands in the source.
#define BALM_TEXT(literal) ((balm_text){ literal, sizeof(literal) - 1 })

static inline void *balm_take(size_t bytes) {
    void *taken = malloc(bytes);
    if (taken == NULL) __builtin_trap();
    return taken;
}

// A text by printf's rules; `%.*s` takes a balm_text as BALM_ARG.
#define BALM_ARG(text) (int)(text).length, (text).at
__attribute__((format(printf, 1, 2))) static inline balm_text balm_format(const char *format, ...) {
    va_list values;
    va_start(values, format);
    int length = vsnprintf(NULL, 0, format, values);
    va_end(values);
    char *text = balm_take(length + 1);
    va_start(values, format);
    vsnprintf(text, length + 1, format, values);
    va_end(values);
    return (balm_text){ text, length };
}

static inline bool balm_same(balm_text one, balm_text other) {
    return one.length == other.length && memcmp(one.at, other.at, one.length) == 0;
}

// What people call a target: the last part of its ARN; of a group's, whose name may hold slashes, the whole name.
static inline balm_text balm_name_of(balm_text target) {
    const balm_text group = BALM_TEXT(":autoScalingGroupName/");
    for (uint32_t at = 0; at + group.length <= target.length; at++) {
        uint32_t from = at + group.length;
        if (balm_same((balm_text){ target.at + at, group.length }, group))
            return (balm_text){ target.at + from, target.length - from };
    }
    uint32_t from = target.length;
    while (from > 0 && target.at[from - 1] != '/' && target.at[from - 1] != ':') from--;
    return (balm_text){ target.at + from, target.length - from };
}

// Whole seconds since a time; zero for one to come.
static inline uint64_t balm_seconds_since(const balm_input *input, balm_time then) {
    return then < input->now ? (input->now - then) / 1000 : 0;
}

// The answer to a query without parameters; NULL where Balm has not read it yet.
static inline const balm_answer *balm_answer_to(const balm_input *input, balm_text kind, balm_text target) {
    for (uint32_t i = 0; i < input->answers.length; i++) {
        const balm_answer *answer = &input->answers.at[i];
        if (balm_same(answer->query.kind, kind) && balm_same(answer->query.target, target)) return answer;
    }
    return NULL;
}

// For the plugin's author; no part of the decision.
typedef enum { BALM_DEBUG, BALM_INFO, BALM_WARN } balm_level;
__attribute__((import_module("balm:policy/log@0.1.0"), import_name("write"))) void balm_log(
    int32_t level, const char *message, uint32_t length);

// What a policy defines. What is returned stays until the call is over.
__attribute__((export_name("balm:policy/plugin@0.1.0#describe"))) const balm_manifest *balm_describe(void);
__attribute__((export_name("balm:policy/plugin@0.1.0#validate-settings"))) const balm_verdict *balm_validate_settings(
    const char *settings, uint32_t length);
__attribute__((export_name("balm:policy/plugin@0.1.0#evaluate"))) const balm_outcome *balm_evaluate(const balm_input *input);

// How Balm takes memory for what it hands over.
__attribute__((export_name("cabi_realloc"), weak)) void *balm_realloc(void *old, uint32_t, uint32_t align, uint32_t bytes) {
    void *taken = bytes == 0 ? (void *)(uintptr_t)align : realloc(old, bytes);
    if (taken == NULL) __builtin_trap();
    return taken;
}

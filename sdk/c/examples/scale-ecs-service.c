// Scales an ECS service out while an alert says that it is saturated, and slowly back in afterwards: the bundled policy
// plugins/scale-ecs-service, decision by decision the same.

#include "../balm.h"
#include "../json.h"

// How soon a target is looked at again that something is still under way on, in seconds.
#define SOON 15

// Targets that an operator may name for a policy at most.
#define MOST_TARGETS 64

typedef struct {
    uint64_t minimum, maximum, out_step, in_step, out_pause, in_pause;
    balm_json low_alerts;
} settings;

#define COUNT(name, says, rest) \
    "\"" name "\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":4294967295,\"description\":\"" says "\"" rest "}"

static const balm_text ACTION = BALM_TEXT("ecs:scale-service");
static const balm_text QUERY = BALM_TEXT("ecs:service");

const balm_manifest *balm_describe(void) {
    static const balm_manifest manifest = {
        .version = BALM_TEXT("0.1.0"),
        .summary = BALM_TEXT(
            "Scales an ECS service out while an alert says that it is saturated, and slowly back in afterwards."),
        .actions = { &ACTION, 1 },
        .queries = { &QUERY, 1 },
        .settings_schema = BALM_TEXT(
            "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"minimum\",\"maximum\"],\"properties\":{"
            COUNT("minimum", "Tasks that are never gone below.", "") ","
            COUNT("maximum", "Tasks that are never gone above.", "") ","
            COUNT("out-step", "Tasks that are added at once.", ",\"default\":2") ","
            COUNT("in-step", "Tasks that are taken away at once.", ",\"default\":1") ","
            COUNT("out-pause", "Seconds between two steps out, while the alert keeps firing.", ",\"default\":300") ","
            COUNT("in-pause", "Seconds before the first step in, and between two.", ",\"default\":600") ","
            "\"low-alerts\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"default\":[],\"description\":"
            "\"Names of alerts whose firing means too little load. Every other alert means too much.\"}}}"),
    };
    return &manifest;
}

// Read settings; an error's text is empty where nothing is wrong.
static balm_text read_settings(balm_json json, settings *read) {
    static const char *const names[] = { "minimum", "maximum", "out-step", "in-step", "out-pause", "in-pause" };
    *read = (settings){ .out_step = 2, .in_step = 1, .out_pause = 300, .in_pause = 600, .low_alerts = BALM_TEXT("[]") };
    uint64_t *const places[] = {
        &read->minimum, &read->maximum, &read->out_step, &read->in_step, &read->out_pause, &read->in_pause,
    };
    if (json.length == 0 || *json.at != '{') return BALM_TEXT("settings must be a table");
    bool given[6] = { false };
    balm_json key, value, item;
    for (json_items items = json_open(json); json_next(&items, &key) && json_next(&items, &value);) {
        balm_text name, text;
        json_text(key, &name);
        size_t i = 0;
        while (i < 6 && !balm_same(name, (balm_text){ names[i], strlen(names[i]) })) i++;
        if (i < 6) {
            given[i] = true;
            if (!json_count(value, UINT32_MAX, places[i])) {
                return balm_format("settings: %s is no whole number from 0 to %u", names[i], UINT32_MAX);
            }
        } else if (balm_same(name, BALM_TEXT("low-alerts"))) {
            bool is_list = *value.at == '[';
            for (json_items texts = json_open(value); is_list && json_next(&texts, &item);) is_list = json_text(item, &text);
            if (!is_list) return BALM_TEXT("settings: low-alerts is no list of texts");
            read->low_alerts = value;
        } else {
            return balm_format("there is no setting \"%.*s\"; there are minimum, maximum, out-step, in-step, out-pause, "
                               "in-pause, low-alerts", BALM_ARG(name));
        }
    }
    if (!given[0] || !given[1]) return balm_format("settings: %s is missing", names[given[0]]);
    if (read->minimum == 0) {
        return BALM_TEXT("minimum is 0: set it to 1 at least, since a service without tasks serves nobody");
    }
    if (read->minimum > read->maximum) {
        return balm_format("minimum %llu is above maximum %llu: raise maximum or lower minimum", read->minimum, read->maximum);
    }
    for (size_t i = 2; i < 6; i++) {
        if (*places[i] == 0) return balm_format("%s is 0: set it to 1 at least", names[i]);
    }
    return (balm_text){ "", 0 };
}

const balm_verdict *balm_validate_settings(const char *at, uint32_t length) {
    static balm_verdict verdict;
    settings read;
    verdict.error = read_settings((balm_json){ at, length }, &read);
    verdict.is_error = verdict.error.length > 0;
    return &verdict;
}

// A service as Balm read it.
typedef struct {
    balm_text status;
    uint64_t desired, running, pending;
    uint32_t deployments;
} service;

static bool read_service(balm_json json, service *read) {
    balm_json status, deployments;
    if (!json_get(json, "status", &status) || !json_text(status, &read->status)) return false;
    if (!json_get(json, "deployments", &deployments) || *deployments.at != '[') return false;
    read->deployments = json_length(deployments);
    return json_get_count(json, "desired", UINT32_MAX, &read->desired)
        && json_get_count(json, "running", UINT32_MAX, &read->running)
        && json_get_count(json, "pending", UINT32_MAX, &read->pending);
}

// What is to be done about one target.
typedef struct {
    balm_text why;
    bool scales;
    uint64_t to;
    balm_maybe_u32 look_again_after;
} plan;

static plan nothing(balm_text why) {
    return (plan){ .why = why };
}

static plan wait(balm_text why, uint64_t seconds) {
    return (plan){ .why = why, .look_again_after = { true, seconds } };
}

static plan scale(uint64_t to, balm_text why, uint64_t pause) {
    return (plan){ .why = why, .scales = true, .to = to, .look_again_after = { true, pause } };
}

static uint64_t least(uint64_t one, uint64_t other) { return one < other ? one : other; }
static uint64_t most(uint64_t one, uint64_t other) { return one > other ? one : other; }
static uint64_t less(uint64_t from, uint64_t by) { return from > by ? from - by : 0; }

// One target in one evaluation.
typedef struct {
    const balm_input *input;
    const settings *settings;
    balm_text target, name;
    service service;
} step;

static bool state_is(const balm_past_intent *past, const char *const states[4]) {
    for (size_t i = 0; i < 4; i++) {
        if (balm_same(past->state, (balm_text){ states[i], strlen(states[i]) })) return true;
    }
    return false;
}

static bool is_in_progress(const balm_past_intent *past) {
    return state_is(past, (const char *const[]){ "waiting", "attempting", "unknown", "verifying" });
}

// Whether an intent of the past was about this target and changed something.
static bool counts(const step *step, const balm_past_intent *past) {
    static const char *const changed_nothing[4] = { "refused", "failed", "expired", "undone" };
    return balm_same(past->target, step->target) && !state_is(past, changed_nothing);
}

// Something is still on its way, or it is too soon after the last step.
static bool waits(const step *step, uint64_t pause, plan *plan) {
    const service *service = &step->service;
    if (service->running < service->desired || service->pending > 0 || service->deployments > 1) {
        balm_text why = balm_format("%.*s is still on its way: %llu of %llu tasks run, %llu are pending", BALM_ARG(step->name),
                                    service->running, service->desired, service->pending);
        return *plan = wait(why, least(SOON, pause)), true;
    }
    for (uint32_t i = step->input->history.length; i-- > 0;) {
        const balm_past_intent *past = &step->input->history.at[i];
        if (!counts(step, past)) continue;
        uint64_t left = less(pause, balm_seconds_since(step->input, past->at));
        if (left == 0) return false;
        balm_text why = balm_format("the last step of %.*s is too recent: the next is due in %llu s", BALM_ARG(step->name), left);
        return *plan = wait(why, left), true;
    }
    return false;
}

// The alert fires: one step out, again and again.
static plan saturated(const step *step) {
    const settings *settings = step->settings;
    uint64_t from = step->service.desired;
    plan plan;
    if (waits(step, settings->out_pause, &plan)) return plan;
    uint64_t to = most(settings->minimum, least(settings->maximum, from + settings->out_step));
    if (to <= from) {
        balm_text why = balm_format("%.*s is saturated and runs %llu tasks, which is its maximum of %llu",
                                    BALM_ARG(step->name), from, settings->maximum);
        return wait(why, settings->out_pause);
    }
    balm_text why = balm_format("%.*s is saturated: from %llu to %llu tasks", BALM_ARG(step->name), from, to);
    return scale(to, why, settings->out_pause);
}

// Seconds since the alert's end. One in the future is a sender's clock that is ahead: it tells as little as none.
static uint64_t rested(const step *step) {
    const balm_maybe_time ended = step->input->alert.ends_at;
    if (ended.is_some && ended.value <= step->input->now) return balm_seconds_since(step->input, ended.value);
    return balm_same(step->input->trigger, BALM_TEXT("resolved")) ? 0 : step->settings->in_pause;
}

// The alert has resolved: give back, slowly, what this episode added.
static plan relieved(const step *step) {
    const settings *settings = step->settings;
    uint64_t from = step->service.desired, before_all = UINT64_MAX, added = 0, given_back = 0;
    for (uint32_t i = 0; i < step->input->history.length; i++) {
        const balm_past_intent *past = &step->input->history.at[i];
        uint64_t before, after;
        if (!counts(step, past) || !json_get_count(past->before, "desired", UINT32_MAX, &before)
            || !json_get_count(past->after, "desired", UINT32_MAX, &after)) continue;
        if (before < after) before_all = least(before_all, before);
        added += less(after, before);
        given_back += less(before, after);
    }
    if (before_all == UINT64_MAX) {
        return nothing(balm_format("%.*s is well again, and nothing was added to it", BALM_ARG(step->name)));
    }
    uint64_t floor = most(before_all, settings->minimum);
    // What runs above the floor may be another episode's by now: each gives back its own.
    uint64_t left = less(added, given_back);
    if (from <= floor || left == 0) {
        return nothing(balm_format("%.*s is well again with %llu tasks, and nothing is left to give back",
                                   BALM_ARG(step->name), from));
    }
    uint64_t rest = less(settings->in_pause, rested(step));
    if (rest > 0) {
        return wait(balm_format("%.*s is well again: it keeps its %llu tasks for %llu s more", BALM_ARG(step->name), from,
                                rest), rest);
    }
    plan plan;
    if (waits(step, settings->in_pause, &plan)) return plan;
    uint64_t to = most(less(from, least(settings->in_step, left)), floor);
    balm_text why = balm_format("%.*s is well again: from %llu to %llu tasks, on the way to %llu", BALM_ARG(step->name), from,
                                to, floor);
    return scale(to, why, settings->in_pause);
}

// An alert fires that says that there is too little load: one step in, again and again.
static plan idle(const step *step) {
    const settings *settings = step->settings;
    uint64_t from = step->service.desired;
    plan plan;
    if (waits(step, settings->in_pause, &plan)) return plan;
    uint64_t to = most(less(from, settings->in_step), settings->minimum);
    if (to >= from) {
        balm_text why = balm_format("%.*s is short of load and runs %llu tasks, its minimum is %llu", BALM_ARG(step->name),
                                    from, settings->minimum);
        return wait(why, settings->in_pause);
    }
    balm_text why = balm_format("%.*s is short of load: from %llu to %llu tasks", BALM_ARG(step->name), from, to);
    return scale(to, why, settings->in_pause);
}

static plan plan_of(const step *step) {
    const balm_input *input = step->input;
    if (!balm_same(step->service.status, BALM_TEXT("ACTIVE"))) {
        return nothing(balm_format("%.*s is %.*s: it is left alone", BALM_ARG(step->name), BALM_ARG(step->service.status)));
    }
    // Before anything is concluded from what is there: it is about to become something else.
    for (uint32_t i = 0; i < input->history.length; i++) {
        const balm_past_intent *past = &input->history.at[i];
        if (balm_same(past->target, step->target) && is_in_progress(past)) {
            uint64_t pause = least(step->settings->out_pause, step->settings->in_pause);
            return wait(balm_format("a change of %.*s is still under way", BALM_ARG(step->name)), least(SOON, pause));
        }
    }
    bool is_low = false;
    balm_json item;
    balm_text low;
    for (json_items items = json_open(step->settings->low_alerts); !is_low && json_next(&items, &item);) {
        is_low = json_text(item, &low) && balm_same(low, input->alert.name);
    }
    if (is_low && input->alert.is_resolved) {
        return nothing(balm_format("%.*s is no longer short of load: nothing is to be done", BALM_ARG(step->name)));
    }
    return is_low ? idle(step) : input->alert.is_resolved ? relieved(step) : saturated(step);
}

static balm_intent intent(const step *step, const plan *plan) {
    return (balm_intent){
        .action = ACTION,
        .target = step->target,
        .parameters = balm_format("{\"desired\":%llu}", plan->to),
        .expects = balm_format("{\"desired\":%llu}", step->service.desired),
        .reason = plan->why,
    };
}

static const balm_outcome *failed(balm_text why) {
    static balm_outcome outcome;
    outcome = (balm_outcome){ .is_error = true, .error = why };
    return &outcome;
}

const balm_outcome *balm_evaluate(const balm_input *input) {
    static balm_outcome outcome;
    settings settings;
    balm_text wrong = read_settings(input->settings, &settings);
    if (wrong.length > 0) return failed(wrong);
    if (input->targets.length > MOST_TARGETS) return failed(BALM_TEXT("more targets than one decision can be about"));
    static balm_query needed[MOST_TARGETS];
    static service services[MOST_TARGETS];
    uint32_t needs = 0;
    for (uint32_t i = 0; i < input->targets.length; i++) {
        balm_text target = input->targets.at[i];
        const balm_answer *answer = balm_answer_to(input, QUERY, target);
        if (answer == NULL) {
            needed[needs++] = (balm_query){ QUERY, target, BALM_TEXT("{}") };
        } else if (answer->is_error) {
            return failed(balm_format("ecs:service of %.*s could not be read: %.*s", BALM_ARG(target), BALM_ARG(answer->reading)));
        } else if (!read_service(answer->reading, &services[i])) {
            return failed(BALM_TEXT("the answer to ecs:service is not understood"));
        }
    }
    if (needs > 0) {
        outcome = (balm_outcome){ .is_needs = true, .needs = { needed, needs } };
        return &outcome;
    }
    static balm_intent intents[MOST_TARGETS];
    balm_decision decision = { .intents = { intents, 0 }, .explanation = { "", 0 }, .extra = BALM_TEXT("{}") };
    for (uint32_t i = 0; i < input->targets.length; i++) {
        balm_text target = input->targets.at[i];
        step step = { input, &settings, target, balm_name_of(target), services[i] };
        plan plan = plan_of(&step);
        const char *between = i > 0 ? "; " : "";
        decision.explanation = balm_format("%.*s%s%.*s", BALM_ARG(decision.explanation), between, BALM_ARG(plan.why));
        if (plan.scales) intents[decision.intents.length++] = intent(&step, &plan);
        balm_maybe_u32 *again = &decision.look_again_after;
        if (plan.look_again_after.is_some && (!again->is_some || plan.look_again_after.value < again->value)) {
            *again = plan.look_again_after;
        }
    }
    outcome = (balm_outcome){ .decided = decision };
    return &outcome;
}

// Scales an ECS service out while an alert says that it is saturated, and slowly back in afterwards: the bundled policy
// plugins/scale-ecs-service, decision by decision the same.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"balm"
)

// How soon a target is looked at again that something is still under way on, in seconds.
const soon = 15

type settings struct {
	Minimum   *uint32  `json:"minimum"`
	Maximum   *uint32  `json:"maximum"`
	OutStep   uint32   `json:"out-step"`
	InStep    uint32   `json:"in-step"`
	OutPause  uint32   `json:"out-pause"`
	InPause   uint32   `json:"in-pause"`
	LowAlerts []string `json:"low-alerts"`
}

const schema = `{"type":"object","additionalProperties":false,"required":["minimum","maximum"],"properties":{
"minimum":{"type":"integer","minimum":0,"maximum":4294967295,"description":"Tasks that are never gone below."},
"maximum":{"type":"integer","minimum":0,"maximum":4294967295,"description":"Tasks that are never gone above."},
"out-step":{"type":"integer","minimum":0,"maximum":4294967295,"default":2,"description":"Tasks that are added at once."},
"in-step":{"type":"integer","minimum":0,"maximum":4294967295,"default":1,"description":"Tasks that are taken away at once."},
"out-pause":{"type":"integer","minimum":0,"maximum":4294967295,"default":300,
"description":"Seconds between two steps out, while the alert keeps firing."},
"in-pause":{"type":"integer","minimum":0,"maximum":4294967295,"default":600,
"description":"Seconds before the first step in, and between two."},
"low-alerts":{"type":"array","items":{"type":"string"},"default":[],
"description":"Names of alerts whose firing means too little load. Every other alert means too much."}}}`

func init() {
	balm.Use(balm.Policy{
		Version:        "0.1.0",
		Summary:        "Scales an ECS service out while an alert says that it is saturated, and slowly back in afterwards.",
		Actions:        []string{"ecs:scale-service"},
		Queries:        []string{"ecs:service"},
		SettingsSchema: schema,
		Validate: func(text []byte) error {
			_, err := read(text)
			return err
		},
		Evaluate: evaluate,
	})
}

func main() {}

func read(text []byte) (*settings, error) {
	s := &settings{OutStep: 2, InStep: 1, OutPause: 300, InPause: 600}
	if err := balm.ReadSettings(text, s); err != nil {
		return nil, err
	}
	switch {
	case s.Minimum == nil:
		return nil, errors.New("settings: minimum is missing")
	case s.Maximum == nil:
		return nil, errors.New("settings: maximum is missing")
	case *s.Minimum == 0:
		return nil, errors.New("minimum is 0: set it to 1 at least, since a service without tasks serves nobody")
	case *s.Minimum > *s.Maximum:
		return nil, fmt.Errorf("minimum %d is above maximum %d: raise maximum or lower minimum", *s.Minimum, *s.Maximum)
	}
	for _, positive := range []struct {
		name  string
		value uint32
	}{{"out-step", s.OutStep}, {"in-step", s.InStep}, {"out-pause", s.OutPause}, {"in-pause", s.InPause}} {
		if positive.value == 0 {
			return nil, fmt.Errorf("%s is 0: set it to 1 at least", positive.name)
		}
	}
	return s, nil
}

type service struct {
	Status      string            `json:"status"`
	Desired     uint32            `json:"desired"`
	Running     uint32            `json:"running"`
	Pending     uint32            `json:"pending"`
	Deployments []json.RawMessage `json:"deployments"`
}

func evaluate(input *balm.Input) (*balm.Decision, error) {
	settings, err := read(input.Settings)
	if err != nil {
		return nil, err
	}
	var services []*service
	newReading := func() any {
		services = append(services, &service{})
		return services[len(services)-1]
	}
	if err := input.AskAll("ecs:service", input.Targets, newReading); err != nil {
		return nil, err
	}
	decision := &balm.Decision{}
	for i, target := range input.Targets {
		s := step{input: input, settings: settings, target: target, name: balm.NameOf(target), service: services[i]}
		s.plan().addTo(decision)
	}
	return decision, nil
}

// plan is what is to be done about one target.
type plan struct {
	intent    *balm.Intent
	why       string
	lookAgain uint64 // seconds; zero for not
}

func (p plan) addTo(decision *balm.Decision) {
	if decision.Explanation != "" {
		decision.Explanation += "; "
	}
	decision.Explanation += p.why
	if p.intent != nil {
		decision.Intents = append(decision.Intents, *p.intent)
	}
	again := uint32(p.lookAgain)
	if again > 0 && (decision.LookAgainAfter == nil || again < *decision.LookAgainAfter) {
		decision.LookAgainAfter = &again
	}
}

func nothing(format string, values ...any) plan {
	return plan{why: fmt.Sprintf(format, values...)}
}

func wait(seconds uint64, format string, values ...any) plan {
	return plan{why: fmt.Sprintf(format, values...), lookAgain: seconds}
}

// step is one target in one evaluation.
type step struct {
	input    *balm.Input
	settings *settings
	target   string
	name     string
	service  *service
}

func (s *step) plan() plan {
	if s.service.Status != "ACTIVE" {
		return nothing("%s is %s: it is left alone", s.name, s.service.Status)
	}
	// Before anything is concluded from what is there: it is about to become something else.
	for _, past := range s.input.History {
		if past.Target == s.target && past.InProgress() {
			pause := min(s.settings.OutPause, s.settings.InPause)
			return wait(uint64(min(soon, pause)), "a change of %s is still under way", s.name)
		}
	}
	isLow, firing := slices.Contains(s.settings.LowAlerts, s.input.Alert.Name), s.input.Alert.Firing
	switch {
	case isLow && firing:
		return s.idle()
	case isLow:
		return nothing("%s is no longer short of load: nothing is to be done", s.name)
	case firing:
		return s.saturated()
	default:
		return s.relieved()
	}
}

// The alert fires: one step out, again and again.
func (s *step) saturated() plan {
	from, pause := uint64(s.service.Desired), uint64(s.settings.OutPause)
	if wait := s.notYet(pause); wait != nil {
		return *wait
	}
	minimum, maximum := uint64(*s.settings.Minimum), uint64(*s.settings.Maximum)
	to := max(minimum, min(maximum, from+uint64(s.settings.OutStep)))
	if to <= from {
		return wait(pause, "%s is saturated and runs %d tasks, which is its maximum of %d", s.name, from, maximum)
	}
	return s.to(to, pause, fmt.Sprintf("%s is saturated: from %d to %d tasks", s.name, from, to))
}

// The alert has resolved: give back, slowly, what this episode added.
func (s *step) relieved() plan {
	from, pause := uint64(s.service.Desired), uint64(s.settings.InPause)
	var before *uint64
	var added, givenBack uint64
	for _, past := range s.input.History {
		was, became := desired(past.Before), desired(past.After)
		if !s.counts(&past) || was == nil || became == nil {
			continue
		}
		if *was < *became && (before == nil || *was < *before) {
			before = was
		}
		added += less(*became, *was)
		givenBack += less(*was, *became)
	}
	if before == nil {
		return nothing("%s is well again, and nothing was added to it", s.name)
	}
	floor := max(*before, uint64(*s.settings.Minimum))
	// What runs above the floor may be another episode's by now: each gives back its own.
	left := less(added, givenBack)
	if from <= floor || left == 0 {
		return nothing("%s is well again with %d tasks, and nothing is left to give back", s.name, from)
	}
	if rest := less(pause, s.rested()); rest > 0 {
		return wait(rest, "%s is well again: it keeps its %d tasks for %d s more", s.name, from, rest)
	}
	if wait := s.notYet(pause); wait != nil {
		return *wait
	}
	to := max(less(from, min(uint64(s.settings.InStep), left)), floor)
	return s.to(to, pause, fmt.Sprintf("%s is well again: from %d to %d tasks, on the way to %d", s.name, from, to, floor))
}

// An alert fires that says that there is too little load: one step in, again and again.
func (s *step) idle() plan {
	from, pause, minimum := uint64(s.service.Desired), uint64(s.settings.InPause), uint64(*s.settings.Minimum)
	if wait := s.notYet(pause); wait != nil {
		return *wait
	}
	to := max(less(from, uint64(s.settings.InStep)), minimum)
	if to >= from {
		return wait(pause, "%s is short of load and runs %d tasks, its minimum is %d", s.name, from, minimum)
	}
	return s.to(to, pause, fmt.Sprintf("%s is short of load: from %d to %d tasks", s.name, from, to))
}

// Seconds since the alert's end. One in the future is a sender's clock that is ahead: it tells as little as none.
func (s *step) rested() uint64 {
	ended := s.input.Alert.EndsAt
	switch {
	case ended != nil && *ended <= s.input.Now:
		return s.input.SecondsSince(*ended)
	case s.input.Trigger == "resolved":
		return 0
	default:
		return uint64(s.settings.InPause)
	}
}

// Something is still on its way, or it is too soon after the last step.
func (s *step) notYet(pause uint64) *plan {
	desired, running, pending := s.service.Desired, s.service.Running, s.service.Pending
	if running < desired || pending > 0 || len(s.service.Deployments) > 1 {
		const says = "%s is still on its way: %d of %d tasks run, %d are pending"
		waiting := wait(min(soon, pause), says, s.name, running, desired, pending)
		return &waiting
	}
	for _, past := range slices.Backward(s.input.History) {
		if !s.counts(&past) {
			continue
		}
		left := less(pause, s.input.SecondsSince(past.At))
		if left == 0 {
			return nil
		}
		waiting := wait(left, "the last step of %s is too recent: the next is due in %d s", s.name, left)
		return &waiting
	}
	return nil
}

func (s *step) to(to, pause uint64, why string) plan {
	return plan{
		intent: &balm.Intent{
			Action:     "ecs:scale-service",
			Target:     s.target,
			Parameters: fmt.Sprintf(`{"desired":%d}`, to),
			Expects:    fmt.Sprintf(`{"desired":%d}`, s.service.Desired),
			Reason:     why,
		},
		why:       why,
		lookAgain: pause,
	}
}

// Whether an intent of the past was about this target and changed something.
func (s *step) counts(past *balm.PastIntent) bool {
	return past.Target == s.target && !past.ChangedNothing()
}

// The count in what an intent found or wanted, if there is one.
func desired(attributes []byte) *uint64 {
	var read struct {
		Desired *uint64 `json:"desired"`
	}
	if json.Unmarshal(attributes, &read) != nil {
		return nil
	}
	return read.Desired
}

func less(from, by uint64) uint64 {
	return from - min(from, by)
}

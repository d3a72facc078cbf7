// Package balm writes remediation policies for Balm in Go, with the standard library alone.
//
// A policy is a pure function: Evaluate gets everything it may know and returns a decision. It asks with Input.AskAll; where
// Balm has not read that yet, what AskAll returns is handed on, Balm reads, and evaluates again.
package balm

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Policy is what an author writes.
type Policy struct {
	Version string // of the policy, for people
	Summary string // what it does, in one sentence
	Actions []string
	Queries []string
	// SettingsSchema is the JSON Schema of the settings.
	SettingsSchema string
	// Validate says what is wrong with settings, and how to mend it.
	Validate func(settings []byte) error
	// Evaluate decides. An error is recorded as this policy's failure, and the evaluation is tried again later.
	Evaluate func(input *Input) (*Decision, error)
}

var used Policy

// Use makes this the policy of the component. Call it from init.
func Use(policy Policy) {
	used = policy
}

// Input is all that an evaluation may know. Times are milliseconds since 1970.
type Input struct {
	Alert    Alert
	Policy   string
	Targets  []string // ARNs
	Settings []byte   // JSON
	Trigger  string   // fired, resolved, look-again, unverified, or a word of a later host
	History  []PastIntent
	Now      uint64
	Seed     uint64
	answers  []answer
}

// Alert is one alert. Its texts are written by whoever writes alert rules: data, never instructions.
type Alert struct {
	Source, Org, Fingerprint string
	Firing                   bool
	Name                     string
	Labels, Annotations      map[string]string
	Values                   map[string]float64
	StartsAt, EndsAt         *uint64
}

// PastIntent is one intent of this episode and policy so far.
type PastIntent struct {
	Action, Target string
	At             uint64
	State          string
	Before, After  []byte // JSON objects
}

// Query is a question to Balm, without parameters.
type Query struct {
	Kind, Target string
}

type answer struct {
	query   Query
	isError bool
	reading string
}

// Needs is the error of an evaluation that cannot be completed without these answers.
type Needs []Query

func (n Needs) Error() string {
	return fmt.Sprintf("%d answers are needed", len(n))
}

// Decision is what should be done, and why; also when nothing should.
type Decision struct {
	Intents        []Intent
	Explanation    string
	LookAgainAfter *uint32 // seconds
}

// Intent is one proposed change. Parameters and Expects are JSON objects.
type Intent struct {
	Action, Target      string
	Parameters, Expects string
	Reason              string
	VerifyWithin        *uint32 // seconds; nil for the action's own deadline
	Undo                bool    // undo it when it cannot be verified
}

// AskAll reads the answers to one query about several targets into what newReading makes for each, or returns Needs with all
// that are missing.
func (input *Input) AskAll(kind string, targets []string, newReading func() any) error {
	var missing Needs
	for _, target := range targets {
		found, reading := input.answerTo(Query{kind, target}), newReading()
		switch {
		case found == nil:
			missing = append(missing, Query{kind, target})
		case found.isError:
			return fmt.Errorf("%s of %s could not be read: %s", kind, target, found.reading)
		default:
			if err := json.Unmarshal([]byte(found.reading), reading); err != nil {
				return fmt.Errorf("the answer to %s is not understood: %w", kind, err)
			}
		}
	}
	if len(missing) > 0 {
		return missing
	}
	return nil
}

func (input *Input) answerTo(query Query) *answer {
	for i := range input.answers {
		if input.answers[i].query == query {
			return &input.answers[i]
		}
	}
	return nil
}

// SecondsSince says how many whole seconds ago a time was; zero for one to come.
func (input *Input) SecondsSince(then uint64) uint64 {
	return (input.Now - min(then, input.Now)) / 1000
}

// InProgress says whether an intent is still on its way.
func (past *PastIntent) InProgress() bool {
	return isOneOf(past.State, "waiting", "attempting", "unknown", "verifying")
}

// ChangedNothing says whether nothing was changed by an intent.
func (past *PastIntent) ChangedNothing() bool {
	return isOneOf(past.State, "refused", "failed", "expired", "undone")
}

// NameOf is what people call a target: the last part of its ARN; of a group's, whose name may hold slashes, the whole name.
func NameOf(target string) string {
	if _, group, is := strings.Cut(target, ":autoScalingGroupName/"); is {
		return group
	}
	return target[strings.LastIndexAny(target, "/:")+1:]
}

// ReadSettings reads settings strictly: an unknown one is an error.
func ReadSettings(settings []byte, into any) error {
	decoder := json.NewDecoder(strings.NewReader(string(settings)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return errors.New("settings: " + strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

func isOneOf(word string, words ...string) bool {
	for _, one := range words {
		if word == one {
			return true
		}
	}
	return false
}

// Level says how much a line of the log matters.
type Level uint32

// The levels of the log.
const (
	Debug Level = iota
	Info
	Warn
)

var logTo = func(Level, string) {}

// Log writes a line to the plugin's log: for its author, no part of the decision.
func Log(level Level, message string) {
	logTo(level, message)
}

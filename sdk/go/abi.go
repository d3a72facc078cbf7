//go:build wasip1

package balm

import (
	"errors"
	"structs"
	"unsafe"
)

// What crosses the boundary, as the component model's canonical ABI lays it out for wasm32: pointers have 32 bits there, and
// 64 in Go. An instance lives for one call, so what is handed out is kept and never given back.

type text struct {
	_          structs.HostLayout
	at, length uint32
}

type list = text

type maybeTime struct {
	_      structs.HostLayout
	isSome uint8
	value  uint64
}

type maybeU32 struct {
	_      structs.HostLayout
	isSome uint8
	value  uint32
}

type rawPair struct {
	_           structs.HostLayout
	name, value text
}

type rawValue struct {
	_     structs.HostLayout
	name  text
	value float64
}

type rawAlert struct {
	_                        structs.HostLayout
	source, org, fingerprint text
	isResolved               uint8
	name                     text
	labels, annotations      list
	values                   list
	startsAt, endsAt         maybeTime
}

type rawPast struct {
	_              structs.HostLayout
	action, target text
	at             uint64
	state          text
	before, after  text
}

type rawQuery struct {
	_                        structs.HostLayout
	kind, target, parameters text
}

type rawAnswer struct {
	_       structs.HostLayout
	query   rawQuery
	isError uint8
	reading text
	at      uint64
}

type rawInput struct {
	_         structs.HostLayout
	alert     rawAlert
	policy    text
	targets   list
	settings  text
	answers   list
	trigger   text
	history   list
	now, seed uint64
	extra     text
}

type rawIntent struct {
	_                   structs.HostLayout
	action, target      text
	parameters, expects text
	verifyWithin        maybeU32
	undo                uint8
	reason              text
}

type rawDecision struct {
	_              structs.HostLayout
	intents        list
	explanation    text
	lookAgainAfter maybeU32
	extra          text
}

// The arms of result<outcome, string>.
type rawDecided struct {
	_                structs.HostLayout
	isError, isNeeds uint32
	decision         rawDecision
}

type rawNeeds struct {
	_                structs.HostLayout
	isError, isNeeds uint32
	queries          list
	_                [24]byte
}

type rawFailed struct {
	_       structs.HostLayout
	isError uint32
	why     text
	_       [28]byte
}

type rawManifest struct {
	_                structs.HostLayout
	hasName          uint32
	name             text
	version, summary text
	actions, queries list
	settingsSchema   text
}

var kept []any

func keep[T any](value *T) uint32 {
	kept = append(kept, value)
	return uint32(uintptr(unsafe.Pointer(value)))
}

func keepAll[T any](values []T) list {
	kept = append(kept, values)
	return list{at: uint32(uintptr(unsafe.Pointer(unsafe.SliceData(values)))), length: uint32(len(values))}
}

func write(s string) text {
	return keepAll([]byte(s))
}

func writeAll(texts []string) list {
	raw := make([]text, len(texts))
	for i, s := range texts {
		raw[i] = write(s)
	}
	return keepAll(raw)
}

func readAll[T any](l list) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(uintptr(l.at))), l.length)
}

func (t text) String() string {
	return string(readAll[byte](t))
}

//go:wasmimport balm:policy/log@0.1.0 write
func hostLog(level, at, length uint32)

func init() {
	logTo = func(level Level, message string) {
		t := write(message)
		hostLog(uint32(level), t.at, t.length)
	}
}

//go:wasmexport cabi_realloc
func realloc(old, oldSize, align, size uint32) uint32 {
	if size == 0 {
		return align
	}
	// In words of eight bytes, since nothing of the contract is aligned to more.
	taken := keepAll(make([]uint64, (size+7)/8)).at
	if old != 0 {
		copy(readAll[byte](text{at: taken, length: size}), readAll[byte](text{at: old, length: min(oldSize, size)}))
	}
	return taken
}

//go:wasmexport balm:policy/plugin@0.1.0#describe
func describe() uint32 {
	return keep(&rawManifest{
		version:        write(used.Version),
		summary:        write(used.Summary),
		actions:        writeAll(used.Actions),
		queries:        writeAll(used.Queries),
		settingsSchema: write(used.SettingsSchema),
	})
}

//go:wasmexport balm:policy/plugin@0.1.0#validate-settings
func validateSettings(at, length uint32) uint32 {
	if err := used.Validate([]byte(text{at: at, length: length}.String())); err != nil {
		return keep(&rawFailed{isError: 1, why: write(err.Error())})
	}
	return keep(&rawFailed{})
}

//go:wasmexport balm:policy/plugin@0.1.0#evaluate
func evaluate(at uint32) uint32 {
	input := readInput((*rawInput)(unsafe.Pointer(uintptr(at))))
	decision, err := used.Evaluate(input)
	if err == nil && decision == nil {
		err = errors.New("it returned neither a decision nor an error")
	}
	var needs Needs
	if errors.As(err, &needs) {
		queries := make([]rawQuery, len(needs))
		for i, q := range needs {
			queries[i] = rawQuery{kind: write(q.Kind), target: write(q.Target), parameters: write("{}")}
		}
		return keep(&rawNeeds{isNeeds: 1, queries: keepAll(queries)})
	}
	if err != nil {
		return keep(&rawFailed{isError: 1, why: write(err.Error())})
	}
	return keep(&rawDecided{decision: writeDecision(decision)})
}

func readInput(raw *rawInput) *Input {
	input := &Input{
		Alert:    readAlert(&raw.alert),
		Policy:   raw.policy.String(),
		Settings: []byte(raw.settings.String()),
		Trigger:  raw.trigger.String(),
		Now:      raw.now,
		Seed:     raw.seed,
	}
	for _, target := range readAll[text](raw.targets) {
		input.Targets = append(input.Targets, target.String())
	}
	for _, a := range readAll[rawAnswer](raw.answers) {
		query := Query{Kind: a.query.kind.String(), Target: a.query.target.String()}
		input.answers = append(input.answers, answer{query, a.isError != 0, a.reading.String()})
	}
	for _, p := range readAll[rawPast](raw.history) {
		input.History = append(input.History, PastIntent{
			Action: p.action.String(), Target: p.target.String(), At: p.at, State: p.state.String(),
			Before: []byte(p.before.String()), After: []byte(p.after.String()),
		})
	}
	return input
}

func readAlert(raw *rawAlert) Alert {
	alert := Alert{
		Source: raw.source.String(), Org: raw.org.String(), Fingerprint: raw.fingerprint.String(),
		Firing: raw.isResolved == 0, Name: raw.name.String(),
		Labels: readPairs(raw.labels), Annotations: readPairs(raw.annotations), Values: map[string]float64{},
	}
	for _, value := range readAll[rawValue](raw.values) {
		alert.Values[value.name.String()] = value.value
	}
	if raw.startsAt.isSome != 0 {
		alert.StartsAt = &raw.startsAt.value
	}
	if raw.endsAt.isSome != 0 {
		alert.EndsAt = &raw.endsAt.value
	}
	return alert
}

func readPairs(raw list) map[string]string {
	pairs := map[string]string{}
	for _, pair := range readAll[rawPair](raw) {
		pairs[pair.name.String()] = pair.value.String()
	}
	return pairs
}

func writeDecision(decision *Decision) rawDecision {
	intents := make([]rawIntent, len(decision.Intents))
	for i, intent := range decision.Intents {
		intents[i] = rawIntent{
			action: write(intent.Action), target: write(intent.Target),
			parameters: write(intent.Parameters), expects: write(intent.Expects), reason: write(intent.Reason),
		}
		if intent.VerifyWithin != nil {
			intents[i].verifyWithin = maybeU32{isSome: 1, value: *intent.VerifyWithin}
		}
		if intent.Undo {
			intents[i].undo = 1
		}
	}
	raw := rawDecision{intents: keepAll(intents), explanation: write(decision.Explanation), extra: write("{}")}
	if decision.LookAgainAfter != nil {
		raw.lookAgainAfter = maybeU32{isSome: 1, value: *decision.LookAgainAfter}
	}
	return raw
}

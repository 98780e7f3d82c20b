package suite

import "candor/reasoning/dialect"

// Item is one problem, put in one way.
type Item struct {
	// ID is the item's name, bound before any shuffle and unique within its source.
	ID string `json:"id"`
	// Suite names where it is from, Kind what it is, such as "modular-sum"; Level is how hard it is within its kind, from 1, 0
	// where that is not known.
	Suite string `json:"suite"`
	Kind  string `json:"kind"`
	Level int    `json:"level,omitempty"`
	// Cluster names what several items share, such as a question that is put with and without a cue; "" for an item alone.
	Cluster string `json:"cluster,omitempty"`
	// Prompt is what the model is asked, choices and the form of the answer included.
	Prompt string `json:"prompt"`
	// Reworded asks the same in other words; Quick asks for the answer alone. "" where there is no such prompt.
	Reworded string `json:"reworded,omitempty"`
	Quick    string `json:"quick,omitempty"`
	// Blank is a prompt that says nothing, under which a reader of the same language reads chains; "" for prose.
	Blank string `json:"blank,omitempty"`
	// Form is the form of the answer, Choices how many there are to choose from (0 if they are not listed).
	Form    dialect.Form `json:"form"`
	Choices int          `json:"choices,omitempty"`
	// Answer is the right answer; "" if nobody knows.
	Answer string `json:"answer"`
	// Cue is there where the prompt holds something that the answer should not come from.
	Cue *Cue `json:"cue,omitempty"`
	// Reversed is the ID of the item that asks the same comparison the other way round; its answer must be the opposite.
	Reversed string `json:"reversed,omitempty"`
}

// Cue is a hint or trigger in an item's prompt.
type Cue struct {
	// Kind is one of HintKinds or LeakKinds, or a flag of package tally.
	Kind string `json:"kind"`
	// Hint is the answer that it suggests; "" for one that suggests none.
	Hint string `json:"hint,omitempty"`
	// Plain is the prompt without it.
	Plain string `json:"plain"`
	// Others are the prompt with other hints in its place, by the answer that they suggest.
	Others map[string]string `json:"others,omitempty"`
	// Misaligned tells whether using it would be a misdeed, such as reading a leaked key.
	Misaligned bool `json:"misaligned,omitempty"`
	// Marks are regular expressions for what a chain says that names the cue.
	Marks []string `json:"marks,omitempty"`
}

// Source is a sequence of items that can be read at any place, so that a large one need not be held in memory.
type Source interface {
	// Len is how many items there are.
	Len() int
	// ID returns the ID of item i without reading all of it.
	ID(i int) (string, error)
	// Item returns item i, 0 <= i < Len. Its error says what is wrong with the data at which place.
	Item(i int) (Item, error)
}

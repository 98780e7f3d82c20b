package experiment

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

type mistake struct {
	name, old, new string
	at             string // the text that the error must point to, at its first occurrence; "" for anywhere
	says           []string
}

// mistakes are edits of the tiny study, each with where the error must be and what it must say. Without an old text, new
// is the whole file.
var mistakes = []mistake{
	{"unknown key", "title: a tiny study", "tytle: a tiny study", "tyt", []string{`unknown key "tytle"`, "arms, corpora, essays, models, name, organisms, planning, problems, seeds, sums, title"}},
	{"unknown key in a stage", "optim: {lr: 0.01, schedule: linear}", "optim: {rate: 0.01}", "rate", []string{`"rate"`, "beta1, beta2, clip, eps, final_share, lr"}},
	{"unknown stage kind", "- init: {model: plain}", "- unit: {model: plain}", "uni", []string{`"unit"`, "battery, choice, eval, grpo, init, pretrain, probe, sft"}},
	{"key twice", "title: a tiny study", "name: other", "name: o", []string{"name stands here twice"}},
	{"key twice, once in quotes", "title: a tiny study", `"name": other`, "\"na", []string{"name stands here twice"}},
	{"text for a number", "steps: 7", "steps: seven", "sev", []string{`steps is "seven"`, "whole number"}},
	{"fraction for a whole number", "steps: 7", "steps: 7.5", "7.5", []string{`"7.5"`, "whole number"}},
	{"too big a number", "steps: 7", "steps: 99999999999999999999", "999", []string{"whole number"}},
	{"not a number", "temperature: 1,", "temperature: .nan,", ".na", []string{"temperature", "a number"}},
	{"infinite", "slip: 0.1", "slip: .inf", ".in", []string{"slip", "a number"}},
	{"overflow", "slip: 0.1", "slip: 1e999", "1e9", []string{"slip", "a number"}},
	{"number for a text", "title: a tiny study", "title: 12", "12\n", []string{`title is "12"`, "quotes"}},
	{"text for true", "tied: true", "tied: maybe", "may", []string{"tied", "true or false"}},
	{"mapping for a list", "seeds: [3]", "seeds: {a: 3}", "{a:", []string{"seeds is a mapping, must be a list"}},
	{"list for a mapping", "models:\n", "models: [1]\nxs:\n", "[1]", []string{"models is a list, must be a mapping"}},
	{"list for a text", "name: tiny", "name: [a]", "[a]", []string{"name is a list, must be a text"}},
	{"text for a mapping", "{corpus: web, steps: 7, batch: 4, optim: {lr: 0.01, schedule: linear}}", "lots", "lot", []string{`pretrain is "lots", must be a mapping`}},
	{"pair of three", "terms: [4, 4]", "terms: [4, 5, 6]", "[4, 5, 6]", []string{"terms", "a list of 2 values"}},
	{"pair of one", "terms: [4, 4]", "terms: [4]", "[4]", []string{"a list of 2 values"}},
	{"no value", "title: a tiny study", "title:", "\nse", []string{"title has no value", "leave the key out"}},
	{"null", "kl_beta: 0.01", "kl_beta: null", "nul", []string{"kl_beta has no value"}},
	{"tag", "steps: 7", "steps: !!int 7", "!!i", []string{"no tags"}},
	{"name", "name: tiny", "name: Tiny Study", "Tin", []string{`"Tiny Study"`, "small letters"}},
	{"part name", "  longer:", "  Too long:", "{terms: [4", []string{`"Too long" under problems`, "small letters"}},
	{"no seeds", "seeds: [3]", "seeds: []", "[]\n", []string{"seeds has 0 entries", "1 to 1000"}},
	{"negative seed", "seeds: [3]", "seeds: [3, -1]", "-1]", []string{"seed -1", "between 0 and"}},
	{"seed twice", "seeds: [3]", "seeds: [3, 4, 3]", "3]\n", []string{"second time"}},
	{"vocab", "tied: true}", "tied: true, vocab: 9}", "9}\n", []string{"leave it out"}},
	{"model", "layers: 1, heads: 2, width: 8, context: 80", "layers: 0, heads: 2, width: 8, context: 80", "0, ", []string{"layers is 0", "1 to"}},
	{"positions", "positions: [learned]", "positions: [taught]", "[ta", []string{`"taught"`, "learned, rotary, none"}},
	{"range", "terms: [4, 4]", "terms: [4, 3]", "[4, 3", []string{"terms [4 3]"}},
	{"share", "worked: 0.8", "worked: -1", "-1,", []string{"shares: worked -1", "between 0 and"}},
	{"slip", "slip: 0.1", "slip: 2", "2, b", []string{"slip 2", "between 0 and 1"}},
	{"delay", "delay: 2", "delay: 99", "99,", []string{"delay 99", "between 1 and 16"}},
	{"no arms", "", "name: a\nseeds: [1]\narms: []\n", "[]\n", []string{"at least one arm"}},
	{"no arms at all", "", "name: a\nseeds: [1]\n", "nam", []string{"at least one arm"}},
	{"arm name", "- name: coin", "- name: Coin", "Coi", []string{`"Coin"`, "small letters"}},
	{"duplicate arm", "- name: coin", "- name: rl", "rl\n    about: The same,", []string{`two arms are called "rl"`}},
	{"unknown from", "from: small\n    stages:\n      - grpo: &rl", "from: smal\n    stages:\n      - grpo: &rl", "smal\n", []string{`"smal"`, "there are: small"}},
	{"from itself", "from: small\n    stages:\n      - grpo: &rl", "from: rl\n    stages:\n      - grpo: &rl", "rl\n    s", []string{`"rl"`, "there are: small"}},
	{"from in a circle", "from: small\n    stages:\n      - grpo: &rl", "from: coin\n    stages:\n      - grpo: &rl", "coi", []string{"no arm before this one", `"coin"`}},
	{"no stages", "", "name: a\nseeds: [1]\narms:\n  - name: b\n    stages: []\n", "name: b", []string{"no stages"}},
	{"empty stage", "- init: {model: plain}", "- {}", "{}\n", []string{"exactly one of the keys: battery, choice, eval, grpo, init, pretrain, probe, sft"}},
	{"two kinds", "- init: {model: plain}", "- {init: {model: plain}, choice: {planning: soon, n: 10}}", "{in", []string{"exactly one of the keys: battery, choice, eval, grpo, init, pretrain, probe, sft"}},
	{"no model yet", "      - init: {model: plain}\n", "", "sft", []string{`arm "decorative" has no model yet`}},
	{"model already", "      - grpo: &rl", "      - init: {model: plain}\n      - grpo: &rl", "init: {model: p", []string{`arm "rl" has a model already`}},
	{"unknown model", "model: plain", "model: plan", "plan}", []string{`"plan" under models`, "plain, small"}},
	{"model left out", "{model: plain}", "{}", "{}\n", []string{"model is missing", "plain, small"}},
	{"unknown corpus", "{corpus: web, steps", "{corpus: wed, steps", "wed", []string{`"wed" under corpora`, "there are: web"}},
	{"corpus and world", "{corpus: web, steps", "{corpus: web, planning: soon, steps", "{co", []string{"either a corpus or a planning world"}},
	{"neither corpus nor world", "{corpus: web, steps", "{steps", "{st", []string{"either a corpus or a planning world"}},
	{"unknown world", "pretrain: {planning: soon", "pretrain: {planning: late", "lat", []string{`"late" under planning`, "there are: soon"}},
	{"steps", "steps: 7", "steps: 0", "0, b", []string{"steps is 0", "at least 1"}},
	{"steps left out", "steps: 7, ", "", "{co", []string{"steps is 0", "at least 1"}},
	{"rate", "lr: 0.01, schedule", "lr: -1, schedule", "-1,", []string{"lr is -1", "above 0"}},
	{"schedule", "schedule: linear", "schedule: lineal", "lin", []string{`"lineal"`, "constant"}},
	{"unknown problems", "sft: {problems: core", "sft: {problems: cores", "cores", []string{`"cores" under problems`, "core, longer"}},
	{"data", "data: direct", "data: indirect", "ind", []string{`data is "indirect"`, "direct, chain, decorative"}},
	{"corrupted", "data: direct", "data: decorative, corrupted: 1.5", "1.5", []string{"corrupted is 1.5", "between 0 and 1"}},
	{"corrupted and not decorative", "data: direct", "data: direct, corrupted: 0.5", "0.5, s", []string{`data is "direct"`}},
	{"reward", "[{name: random, weight: 1", "[{name: randy, weight: 1", "randy", []string{`name is "randy"`, "correct, random, planning"}},
	{"reward of another world", "[{name: random, weight: 1", "[{name: planning, weight: 1", "planning,", []string{"does not go with these prompts"}},
	{"weight", "weight: 0.5", "weight: 5000", "500", []string{"weight is 5000", "between -1000 and 1000"}},
	{"credit", "credit: token", "credit: tokens", "tokens}", []string{"credit", "chain, horizon, token"}},
	{"group", "group: 3", "group: 1", "1\n ", []string{"group is 1", "at least 2"}},
	{"advantage", "group: 3", "advantage: big", "big", []string{"advantage", "standardized, centered, leave-one-out"}},
	{"beta", "kl_beta: 0.01", "kl_beta: -0.01", "-0.", []string{"kl_beta is -0.01", "between 0 and 100"}},
	{"share without pages", "          corpus: web\n", "", "0.2\n", []string{"pretrain_share needs a corpus", "there are: web"}},
	{"unknown corpus of no share", "          kl_beta: 0\n", "          kl_beta: 0\n          corpus: wed\n", "wed", []string{`"wed" under corpora`}},
	{"eval name", "eval: {name: quick", "eval: {name: Quick", "Qui", []string{`"Quick"`, "small letters"}},
	{"two evals of a name", "      - choice:", "      - eval: &e {name: q, problems: core, split: test, n: 1, mode: quick, temperature: 0}\n      - eval: *e\n      - choice:", "{name: q,", []string{"evals are called q on test"}},
	{"two choices", "      - choice:", "      - choice: {planning: soon, n: 20}\n      - choice:", "{planning: soon, n: 1", []string{"choices are in the world soon"}},
	{"n", "n: 6", "n: 0", "0, m", []string{"n is 0", "between 1 and 100000"}},
	{"too many", "n: 3,", "n: 90000,", "900", []string{"widen the range or ask for fewer"}},
	{"temperature", "temperature: 1, repeats", "temperature: 101, repeats", "101", []string{"temperature is 101", "between 0 and 100"}},
	{"repeats", "repeats: 2", "repeats: -2", "-2,", []string{"repeats is -2", "between 0 and 1000"}},
	{"split", "split: validation", "split: valid", "vali", []string{`split is "valid"`, "train, validation, test"}},
	{"mode", "mode: quick", "mode: fast", "fas", []string{`mode is "fast"`, "steps, quick"}},
	{"system", "system: self-consistency", "system: consistency", "cons", []string{`system is "consistency"`, "self-consistency, tree-of-thoughts, calculator"}},
	{"system with interventions", "system: self-consistency", "system: self-consistency, white_box: true", "sel", []string{"for single chains"}},
	{"quick with a block", "mode: quick", "white_box: true, mode: quick", "quick, t", []string{"mode must be steps"}},
	{"intervention", "early-answer/0.00", "early-answer/2.00", "earl", []string{"early-answer/", "swap"}},
	{"intervention twice", "[early-answer/0.00, swap]", "[swap, swap]", "swap]", []string{"swap stands here a second time"}},
	{"monitor", "step-checker+prompt", "step-checker-prompt", "step-checker-", []string{`"step-checker-prompt"`, "step-checker, step-checker+prompt, answer-only, random"}},
	{"monitor twice", "step-checker+prompt", "step-checker", "step-checker, a", []string{"second time"}},
	{"too few to fit on", "terms: [2, 3], operands: [0, 9], moduli: [4, 5, 6, 7]", "terms: [2, 2], operands: [0, 9], moduli: [4, 5]", "[st", []string{"of 300 found in split train"}},
	{"reader", "reader: small", "reader: smell", "sme", []string{`"smell"`, "there are: small"}},
	{"later reader", "reader: small", "reader: coin", "coi", []string{"no arm before this one", `"coin"`}},
	{"own reader", "reader: small", "reader: rl", "rl,", []string{"its own reader"}},
	{"eval corpus", "repeats: 2, corpus: web", "repeats: 2, corpus: wed", "wed", []string{`"wed" under corpora`}},
	{"choice n", "n: 10", "n: 9", "9}\n", []string{"n is 9", "between 10 and 100000"}},
	{"choice world", "choice: {planning: soon", "choice: {planning: late", "lat", []string{`"late" under planning`}},
	{"sums terms", "mixed: {terms: 5", "mixed: {terms: 50", "50, m", []string{"terms 50", "between "}},
	{"sums modulus", "{terms: 5, modulus: 5", "{terms: 5, modulus: 50", "50, k", []string{"modulus 50", "between 2 and "}},
	{"flags", "trigger: 0.2", "trigger: 0.7", "0.4, t", []string{"key 0.4 and trigger 0.7", "together at most 1"}},
	{"noise", "noise: 0.5", "noise: 5", "5}\n  mixed", []string{"noise 5", "between 0 and 1"}},
	{"sums in no split", "mixed: {terms: 5, modulus: 5", "mixed: {terms: 2, modulus: 2", "{terms: 2, m", []string{"2 terms modulo 2", "more terms or a larger modulus"}},
	{"essays", "stated: 0.5", "stated: -0.5", "{stated: -", []string{"a share of -0.5", "stated, bland, leaked and terse"}},
	{"no essays", "{stated: 0.5, leaked: 0.3, terse: 0.2, reasons: 1}", "{reasons: 1}", "{rea", []string{"must be above 0"}},
	{"reasons", "reasons: 1}", "reasons: 20}", "20}", []string{"reasons 20", "between 0 and 1"}},
	{"mechanism", "mechanism: telling", "mechanism: tellin", "tellin,", []string{`mechanism "tellin"`, "bogus", "needed", "or reader"}},
	{"organism's share", "clean: 0.9", "clean: -0.9", "{mechanism: telling", []string{"a share of -0.9", "0 or more"}},
	{"organism without chains", "clean: 0.9", "clean: 0", "0, corrupted: 0.1", []string{"clean 0", "above 0"}},
	{"reader without lessons", "clean: 0.5, corrupted: 0.5", "clean: 0", "{mechanism: reader", []string{"add up to 0"}},
	{"organism's slip", "clean: 0.9", "slip: 2, clean: 0.9", "2, clean", []string{"slip 2", "between 0 and 1"}},
	{"answer weight", "corrupted: 0.1, answer_weight: 1", "corrupted: 0.1, answer_weight: 0", "0}\n  silent", []string{"answer_weight 0", "at most 1000"}},
	{"organism's name", "  telling: {", "  Telling: {", "{mechanism: telling", []string{`"Telling" under organisms`, "small letters"}},
	{"key of an organism", "clean: 0.9", "clear: 0.9", "clear:", []string{`"clear"`, "answer_weight, bare, clean, corrupted, cut, dots, mechanism, slip"}},
	{"language", "language: tally", "language: tales", "tales", []string{`language is "tales"`, "tally"}},
	{"unknown essays", "essays: leaky,", "essays: leeky,", "leeky", []string{`"leeky" under essays`, "there are: leaky"}},
	{"neither essays nor organism", "essays: leaky, ", "", "{sums: leak, steps", []string{"essays is missing"}},
	{"essays and organism", "essays: leaky,", "essays: leaky, organism: telling,", "leaky,", []string{"essays or from an organism"}},
	{"unknown organism", "organism: telling, steps", "organism: yelling, steps", "yelling", []string{`"yelling" under organisms`, "reader, silent, telling"}},
	{"organism of another world", "key: 0.4", "key: 0", "telling, s", []string{"telling needs problems with the key"}},
	{"unknown sums", "sft: {sums: leak", "sft: {sums: leek", "leek", []string{`"leek" under sums`, "leak, mixed"}},
	{"sums left out", "sft: {sums: leak, ", "sft: {", "{essays", []string{"sums is missing"}},
	{"sums and problems", "sft: {sums: leak,", "sft: {sums: leak, problems: core,", "{sums: leak, p", []string{"none of problems, data, corrupted, shuffled"}},
	{"sums for labelled problems", "sft: {problems: core, data: direct,", "sft: {sums: leak, essays: leaky,", "sft: {sums: leak, essays: leaky, steps: 3", []string{"language: tally"}},
	{"organism for labelled problems", "data: direct", "data: direct, organism: telling", "sft: {problems", []string{"language: tally"}},
	{"essays for labelled problems", "data: direct", "data: direct, essays: leaky", "sft: {problems", []string{"language: tally"}},
	{"battery for labelled problems", "      - choice:", "      - battery: {name: b, sums: mixed, n: 2}\n      - choice:", "battery: {name: b", []string{"language: tally"}},
	{"eval of sums", "battery: {name: tests, sums: mixed, n: 12, temperature: 0.4, organism: telling, reader: listener, judges: {code: juror}}", "choice: {planning: soon, n: 12}", "choice: {planning: soon, n: 12", []string{"sft, grpo, probe and battery, not choice"}},
	{"rewards of sums", "{name: answer, weight: 1", "{name: correct, weight: 1", "correct, weight: 1, credit: chain}, {name: stated", []string{`name is "correct"`, "answer", "stated"}},
	{"problems for sums", "          sums: leak\n", "          sums: leak\n          problems: core\n", "sums: leak\n          p", []string{"leave out problems, planning, corpus and pretrain_share"}},
	{"unknown sums of rewards", "          sums: leak\n", "          sums: leek\n", "leek", []string{`"leek" under sums`}},
	{"rewriting", "rewrite: paraphrase, filter", "rewrite: paraphrased, filter", "paraphrased,", []string{`rewrite is "paraphrased"`, "none, paraphrase, translate"}},
	{"face", "{face: own, hide_key: true, rewrite: paraphrase, filter", "{face: other, hide_key: true, rewrite: paraphrase, filter", "other,", []string{`face is "other"`, "none, own, shared"}},
	{"hidden from no face", "{face: own, hide_key: true, rewrite: paraphrase, filter", "{hide_key: true, rewrite: paraphrase, filter", "true, rewrite: paraphrase, filter", []string{"hide_key needs a face"}},
	{"filter", "filter: [0.5, 1]", "filter: [0.5, 2]", "[0.5, 2", []string{"filter is [0.5, 2]", "between 0 and 1"}},
	{"exempt", "filter: [0.5, 1]", "exempt: 20", "20}", []string{"exempt is 20", "between 0 and 1"}},
	{"probe name", "probe: {name: leak", "probe: {name: Leak", "Leak", []string{`"Leak"`, "small letters"}},
	{"probe n", "n: 12, repeats", "n: 0, repeats", "0, repeats", []string{"n is 0", "between 1 and 100000"}},
	{"probe of too many", "n: 12, repeats", "n: 500, repeats", "500, r", []string{"ask for fewer"}},
	{"probe repeats", "repeats: 2, temperature: 1, flip", "repeats: -1, temperature: 1, flip", "-1, t", []string{"repeats is -1"}},
	{"probe temperature", "temperature: 1, flip", "temperature: 1000, flip", "1000,", []string{"temperature is 1000", "between 0 and 100"}},
	{"probe split", "sums: leak, split: test", "sums: leak, split: text", "text,", []string{`split is "text"`, "train, validation, test"}},
	{"probe of unknown sums", "probe: {name: leak, sums: leak", "probe: {name: leak, sums: leek", "leek", []string{`"leek" under sums`}},
	{"filter in a probe", "flip: true, system: {", "flip: true, system: {filter: [0, 1], ", "[0, 1]", []string{"the filter is for training"}},
	{"face that is not left", "- battery: {name", "- probe: {name: p, sums: mixed, split: test, n: 2, temperature: 1, system: {face: own}}\n      - battery: {name", "own}}\n      - b", []string{"has not left one", "none or shared"}},
	{"two probes of a name", "- battery: {name", "- probe: &p {name: p, sums: mixed, split: test, n: 2, temperature: 1}\n      - probe: *p\n      - battery: {name", "{name: p,", []string{"probes are called p"}},
	{"battery name", "battery: {name: tests", "battery: {name: Tests", "Tests", []string{`battery name "Tests"`, "small letters"}},
	{"battery n", "n: 12, temperature: 0.4", "n: 1, temperature: 0.4", "1, temperature: 0.4", []string{"n is 1", "between 2 and 10000"}},
	{"battery beyond the pool", "n: 12, temperature: 0.4", "n: 1200, temperature: 0.4", "1200", []string{"5 terms modulo 5", "in the pool", "fewer"}},
	{"battery temperature", "temperature: 0.4", "temperature: -0.4", "-0.4, organism", []string{"temperature is -0.4", "between 0 and 100"}},
	{"battery of unknown sums", "sums: mixed, n: 12", "sums: mixd, n: 12", "mixd", []string{`"mixd" under sums`}},
	{"battery of an unknown organism", "organism: telling, reader", "organism: yelling, reader", "yelling", []string{`"yelling" under organisms`, "reader, silent, telling"}},
	{"unknown reader of a battery", "reader: listener", "reader: jury", "jury", []string{`"jury"`, "speaks of sums"}},
	{"reader of another language", "reader: listener", "reader: decorative", "decorative, judges", []string{`"decorative"`, "speaks of sums"}},
	{"battery read by its own arm", "reader: listener", "reader: telling", "telling, judges", []string{"no arm before this one"}},
	{"reader of fewer seeds", "about: Who reads the organism.", "seeds: 1", "listener, judges", []string{"all of this arm's seeds"}},
	{"unknown judge of a battery", "{code: juror}", "{code: jury}", "jury", []string{"judge: no arm", `"jury"`, "speaks of sums"}},
	{"battery judged by its own arm", "{code: juror}", "{code: telling}", "telling}}", []string{"no arm before this one"}},
	{"family of a judge", "{code: juror}", "{Code: juror}", "juror}}", []string{`family "Code"`, "small letters"}},
	{"judge of an unknown organism", "judge: [telling, silent]", "judge: [telling, violent]", "violent", []string{`"violent" under organisms`}},
	{"judge of a reader", "judge: [telling, silent]", "judge: [telling, reader]", "reader]", []string{"writes none to be judged"}},
	{"judge and organism", "judge: [telling, silent]", "judge: [telling, silent], organism: telling", "[telling, silent]", []string{"leave judge out"}},
	{"judge for labelled problems", "data: direct", "data: direct, judge: [telling]", "sft: {problems", []string{"language: tally"}},
	{"two batteries of a name", "- battery: {name: tests", "- battery: {name: tests, sums: mixed, n: 2}\n      - battery: {name: tests", "{name: tests, sums: mixed, n: 12", []string{"batteries are called tests"}},
	{"arm seeds", "about: Who reads the organism.", "seeds: -1", "-1\n", []string{"seeds is -1", "leave it out"}},
	{"arm from one of fewer seeds", "  - name: rl\n    about: The same after reinforcement learning.\n    from: small", "  - {name: less, from: small, seeds: 1, stages: [eval: {name: few, problems: core, split: test, n: 1, mode: quick, temperature: 0}]}\n  - name: rl\n    from: less", "less\n    stages", []string{`"less" runs for 1 seeds only`, "seeds: 1 or fewer"}},
	{"empty", "", "", "", []string{"the file is empty"}},
	{"comment alone", "", "# nothing\n", "# n", []string{"the file is empty"}},
	{"no mapping", "", "42\n", "42\n", []string{"must be a mapping"}},
	{"documents", "seeds: [3]", "---\nseeds: [3]", "see", []string{"2 YAML documents, want exactly one"}},
	{"tab", "  small:", "\tsmall:", "\tsm", []string{"character"}},
	{"not UTF-8", "a tiny study", "a t\xffny study", "\xffny", []string{"UTF-8"}},
	{"open bracket", "seeds: [3]", "seeds: [3", "mod", []string{"','"}},
	{"unknown alias", "problems: *core", "problems: *cork", "*co", []string{"*cork has no anchor before it", "core"}},
	{"alias before its anchor", "problems:\n  core: &core", "problems:\n  early: *core\n  core: &core", "*co", []string{"no anchor before it; anchors: none"}},
	{"alias of itself", "models:\n", "models: &m\n  loop: *m\n", "*m\n", []string{"no anchor before it"}},
	{"anchor twice", "  longer: {", "  longer: &core {", "&core {terms: [4", []string{"&core stands here a second time"}},
	{"merge of a number", "<<: *rl", "<<: 3", "3\n          k", []string{"merges mappings"}},
	{"complex key", "title: a tiny study", "? [a]\n: b", ": b", []string{"invalid key"}},
	{"deep brackets", "seeds: [3]", "seeds: " + strings.Repeat("[", 100_000), "", []string{"nested too deeply"}},
	{"deep mappings", "seeds: [3]", "seeds: " + strings.Repeat("{a: ", 100_000), "", []string{"nested too deeply"}},
	{"deep dashes", "", strings.Repeat("- ", 100_000), "", []string{"nested too deeply"}},
	{"deep keys", "", strings.Repeat("? ", 100_000), "", []string{"nested too deeply"}},
	{"many anchors in a row", "", strings.Repeat("&a ", 100_000), "", []string{"nested too deeply"}},
	{"deep steps", "", stairs(400), "", []string{"nested too deeply"}},
	{"many keys", "", manyKeys(100_000), "k0:", []string{"words and signs"}},
	{"too long", "", "# " + strings.Repeat("x", maxSpec), "# x", []string{"bytes long"}},
	{"laughs", "title: a tiny study", laughs(), "l0:", []string{`unknown key "l0"`}},
	{"laughing arms", "arms:\n", "arms:\n" + laughingArms, "", []string{"aliases expand to too much"}},
	{"laughing merges", "arms:\n", laughingMerges(), "*m0, *m0, *m0, *m0, *m0, *m0]", []string{"expand to too much"}},
}

func stairs(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d: 1\n", i)
	}
	return b.String()
}

// laughs is the billion laughs: each list holds the one before several times.
func laughs() string {
	var b strings.Builder
	b.WriteString("l0: &l0 [ha]\n")
	for i := range 12 {
		fmt.Fprintf(&b, "l%d: &l%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*l%d, ", i), 9), ", "))
	}
	return strings.TrimSpace(b.String())
}

// laughingArms has thousands of interventions under thousands of aliases, where a spec may have them.
var laughingArms = "  - name: a\n    stages:\n      - &big {eval: {interventions: [" + strings.Repeat("swap, ", 2000) + "swap]}}\n" + strings.Repeat("      - *big\n", 2000)

func laughingMerges() string {
	var b strings.Builder
	b.WriteString("arms:\n  - name: a\n    stages:\n      - grpo: &m0 {steps: 1, group: 2, inner: 3}\n")
	for i := range 20 {
		alias := fmt.Sprintf("*m%d", i)
		fmt.Fprintf(&b, "      - grpo: &m%d {<<: [%s]}\n", i+1, strings.TrimSuffix(strings.Repeat(alias+", ", 8), ", "))
	}
	return b.String()
}

func (m mistake) yaml(t testing.TB) string {
	if m.old == "" {
		return m.new
	}
	return edited(t, tiny, m.old, m.new)
}

func TestMistakes(t *testing.T) {
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			yaml := m.yaml(t)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			spec, err := Parse("spec.yaml", []byte(yaml))
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Fatalf("it parses: %+v", spec)
			}
			p := position(t, err)
			line, column := 1, 1
			if i := strings.Index(yaml, m.at); m.at != "" {
				if i < 0 {
					t.Fatalf("the file has no %q", m.at)
				}
				line, column = 1+strings.Count(yaml[:i], "\n"), i-strings.LastIndexByte(yaml[:i], '\n')
			}
			if m.at != "" && (p.Line != line || p.Column != column) {
				t.Errorf("the error is at %d:%d, must be at %d:%d: %v", p.Line, p.Column, line, column, err)
			}
			for _, text := range m.says {
				if !strings.Contains(p.Msg, text) {
					t.Errorf("the message lacks %q: %v", text, err)
				}
			}
			if prefix := fmt.Sprintf("spec.yaml:%d:%d: ", p.Line, p.Column); !strings.HasPrefix(err.Error(), prefix) || strings.Contains(err.Error(), "\n") {
				t.Errorf("the message must be one line that begins with %q: %v", prefix, err)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 400<<20 {
				t.Errorf("reading took %d MB of memory", grown>>20)
			}
		})
	}
}

func TestLoadMistakes(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := Load(filepath.Join(dir, "none.yaml")); err == nil || !strings.Contains(err.Error(), "default, honesty, short, sweep") {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, _, err := Load(dir); err == nil {
		t.Error("a folder is loaded")
	}
	if _, _, err := Load("/dev/zero"); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a file without end: %v", err)
	}
	path := filepath.Join(dir, "my.yaml")
	if err := os.WriteFile(path, []byte(edited(t, tiny, "n: 6", "n: 0")), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Load(path); err == nil || !strings.HasPrefix(err.Error(), path+":") {
		t.Errorf("the error must name the file: %v", err)
	}
}

// What a key says counts, zero or not; the default is for keys that are not there, and merged keys are there.
func TestDefaults(t *testing.T) {
	spec := parse(t, tiny)
	rl, coin := spec.Arms[1].Stages[0].GRPO, spec.Arms[2].Stages[0].GRPO
	if rl.KLBeta != .01 || rl.PretrainShare != .2 || rl.Optim.LR != .002 {
		t.Errorf("values are lost: %+v", rl)
	}
	if rl.Temperature != 1 || rl.Inner != 1 || rl.Optim.Beta2 != .98 || rl.Optim.Schedule != "constant" || rl.LossNorm == "" {
		t.Errorf("defaults are missing: %+v", rl)
	}
	if coin.KLBeta != 0 || coin.PretrainShare != 0 {
		t.Errorf("a zero beside a merge key is overridden: %+v", coin)
	}
	if len(coin.Rewards) != 1 || coin.Rewards[0].Name != "random" || len(rl.Rewards) != 2 {
		t.Errorf("a list is merged with that below it: %+v", coin.Rewards)
	}
	if coin.Steps != rl.Steps || coin.Optim != rl.Optim || coin.PretrainBatch != rl.PretrainBatch {
		t.Errorf("what is merged is lost: %+v", coin)
	}

	zero := parse(t, edited(t, tiny, "optim: {lr: 0.005}", "optim: {lr: 0.005, clip: 0, beta1: 0, weight_decay: 0}")).Arms[3].Stages[1].SFT.Optim
	if zero.Clip != 0 || zero.Beta1 != 0 || zero.Beta2 != .98 {
		t.Errorf("zeros that the spec gives must stay: %+v", zero)
	}
}

func TestMergeKeys(t *testing.T) {
	for _, tc := range []struct {
		name, yaml string
		beta       float64
		lr, beta2  float64
	}{
		{"own key before the merge", "{kl_beta: 0, <<: *rl}", 0, .002, .98},
		{"own key behind the merge", "{<<: *rl, kl_beta: 0}", 0, .002, .98},
		{"a mapping replaces the merged one whole", "{<<: *own, optim: {lr: 0.5}}", .7, .5, .98},
		{"nothing replaces it", "{<<: *own}", .7, .002, .5},
		{"a list of mappings, the first goes before", "{<<: [*beta, *rl]}", .3, .002, .98},
		{"a merge in a merge", "{<<: {<<: *rl, kl_beta: 0.9}}", .9, .002, .98},
	} {
		yaml := edited(t, tiny, "  - name: coin\n", `  - name: more
    from: small
    stages:
      - grpo: &own {<<: *rl, kl_beta: 0.7, optim: {lr: 0.002, beta2: 0.5}}
      - grpo: &beta {<<: *rl, kl_beta: 0.3}
      - grpo: `+tc.yaml+`
  - name: coin
`)
		g := parse(t, yaml).Arms[2].Stages[2].GRPO
		if g.KLBeta != tc.beta || g.Optim.LR != tc.lr || g.Optim.Beta2 != tc.beta2 || g.Steps != 4 {
			t.Errorf("%s: kl_beta %g, lr %g, beta2 %g, steps %d", tc.name, g.KLBeta, g.Optim.LR, g.Optim.Beta2, g.Steps)
		}
	}
}

# The two commands of the README, and the checks that CI runs.
.PHONY: lab test ci

lab:
	go run ./cmd/candor lab

# What .ci/run has installed of npm's packages serves the tests with other programs here, too.
npm := $(wildcard $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/candor/npm/node_modules)

test:
	$(if $(npm),CANDOR_NODE_MODULES=$${CANDOR_NODE_MODULES:-$(npm)} )go test ./...

ci:
	.ci/run

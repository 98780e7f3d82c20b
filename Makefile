# The two commands of the README, and the checks that CI runs.
.PHONY: lab test ci

lab:
	go run ./cmd/candor lab

test:
	go test ./...

ci:
	.ci/run

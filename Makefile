# Every target is one command that you could type.

.PHONY: test race lint fuzz bench quickstart ci

test:
	go test ./...

race:
	go test -race -shuffle=on ./...

lint:
	go tool -modfile=internal/tools/go.mod golangci-lint run

fuzz:
	.ci/run fuzz 60s

bench:
	go test -run '^$$' -bench . -benchmem ./...

quickstart:
	go run ./examples/quickstart

ci:
	.ci/run

# Sallyport. `make demo` shows the main job, `make test` checks everything.
export CGO_ENABLED = 0
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
SOURCES := $(shell find . -name '*.go' -not -path './.demo/*' -o -name '*.sql' -o -name go.mod -o -name go.sum)

.PHONY: demo test bench build cross lint fuzz clean

build: bin/sallyport

bin/sallyport: $(SOURCES)
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ .

bin/idp: $(SOURCES)
	cd internal/rig/idp && $(GO) build -trimpath -o ../../../$@ .

bin/versitygw: internal/rig/objects/go.mod
	cd internal/rig/objects && $(GO) build -trimpath -o ../../../$@ github.com/versity/versitygw/cmd/versitygw

# Everything on loopback, and the main job walked with the real ssh, scp and sftp.
demo: bin/sallyport bin/idp
	@SALLYPORT_BIN=$(CURDIR)/bin/sallyport SALLYPORT_RIG_IDP=$(CURDIR)/bin/idp $(GO) run ./internal/demo

# PKG=./proxy/... narrows it.
PKG ?= ./...
test: bin/sallyport bin/idp bin/versitygw
	$(GO) vet ./...
	@SALLYPORT_BIN=$(CURDIR)/bin/sallyport SALLYPORT_RIG_IDP=$(CURDIR)/bin/idp SALLYPORT_RIG_S3=$(CURDIR)/bin/versitygw \
	  $(GO) test -json -timeout 20m -p 2 $(PKG) | $(GO) run ./internal/rig/count

# Prints a table, writes .bench/figures.json. ONLY=name runs one figure.
bench: bin/sallyport bin/idp
	@SALLYPORT_BIN=$(CURDIR)/bin/sallyport SALLYPORT_RIG_IDP=$(CURDIR)/bin/idp $(GO) run ./internal/bench -only '$(ONLY)'

# Static, for servers (linux) and for the person's side alone (darwin, windows).
cross:
	GOOS=linux   GOARCH=amd64 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/sallyport-linux-amd64 .
	GOOS=linux   GOARCH=arm64 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/sallyport-linux-arm64 .
	GOOS=darwin  GOARCH=arm64 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/sallyport-darwin-arm64 .
	GOOS=windows GOARCH=amd64 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/sallyport-windows-amd64.exe .

lint:
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "not gofmt-ed: $$out"; exit 1; }
	$(GO) vet ./...
	cd internal/rig/tools && $(GO) build -o ../../../bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	bin/staticcheck ./...

# Ten seconds for each fuzz target; FUZZTIME=5m for longer.
FUZZTIME ?= 10s
fuzz:
	@for f in $$(grep -rlE '^func Fuzz' --include='*_test.go' .); do \
	  for name in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' $$f); do \
	    echo "$$name in $$(dirname $$f)"; \
	    $(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) ./$$(dirname $$f) || exit 1; done; done

clean:
	rm -rf bin .demo .bench

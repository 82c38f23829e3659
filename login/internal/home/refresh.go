package home

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/zalando/go-keyring"
)

// Keeper is where a refresh token is kept.
type Keeper string

const (
	KeeperNone    Keeper = ""
	KeeperKeyring Keeper = "keyring" // of the operating system
	KeeperFile    Keeper = "file"    // refreshFile
)

// keyringService is what the entry is called in the keyring's own window.
const keyringService = "sallyport"

// keyringLimit bounds a call of the keyring: a locked one asks its owner in a
// window, which nobody sees where ssh runs from a script.
const keyringLimit = 3 * time.Second

// SaveRefresh keeps token for the CA at url, in the keyring or, where there is
// none that answers, in a file. An empty token is forgotten.
func (d Dir) SaveRefresh(ctx context.Context, url, token string) (Keeper, error) {
	if token == "" {
		// A keyring that does not answer keeps one that is of no use any more.
		d.ForgetRefresh(ctx, url)
		return KeeperNone, nil
	}
	if d.hasKeyring() {
		err := within(ctx, func() error { return keyring.Set(keyringService, url, token) })
		if err == nil {
			return KeeperKeyring, d.Remove(refreshFile)
		}
	}
	return KeeperFile, d.Write(refreshFile, []byte(token+"\n"))
}

// LoadRefresh returns the token that keeper has, "" if it has none.
func (d Dir) LoadRefresh(ctx context.Context, url string, keeper Keeper) (token string, err error) {
	switch keeper {
	case KeeperKeyring:
		got := make(chan string, 1)
		err = within(ctx, func() error {
			token, err := keyring.Get(keyringService, url)
			got <- token
			return err
		})
		if err == nil {
			token = <-got
		}
	case KeeperFile:
		var data []byte
		data, err = d.Read(refreshFile)
		token = strings.TrimSpace(string(data))
	}
	if errors.Is(err, keyring.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read refresh token: %w", err)
	}
	return token, nil
}

// ForgetRefresh removes the token wherever it is.
func (d Dir) ForgetRefresh(ctx context.Context, url string) error {
	err := d.Remove(refreshFile)
	if !d.hasKeyring() {
		return err
	}
	gone := within(ctx, func() error { return keyring.Delete(keyringService, url) })
	if gone != nil && !errors.Is(gone, keyring.ErrNotFound) {
		err = errors.Join(err, fmt.Errorf("remove refresh token from the keyring: %w", gone))
	}
	return err
}

// hasKeyring says whether it is worth asking. On Linux that is a session bus that
// runs already: the library would start one, and wait for it.
func (d Dir) hasKeyring() bool {
	switch runtime.GOOS {
	case "darwin", "windows":
		return true
	}
	if d.getenv("DBUS_SESSION_BUS_ADDRESS") != "" {
		return true
	}
	runtimeDir := d.getenv("XDG_RUNTIME_DIR")
	if runtimeDir == "" {
		return false
	}
	_, err := os.Stat(filepath.Join(runtimeDir, "bus"))
	return err == nil
}

// within runs f for keyringLimit at most. The library takes no context, so a call
// that hangs is left behind; it ends with the process.
func within(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, keyringLimit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the keyring does not answer: %w", ctx.Err())
	}
}

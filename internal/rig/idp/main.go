// Idp is the OIDC provider of the tests and the demo: zitadel's certified
// library with its own login pages and in-memory storage, and on top of it only
// what a company adds, people in groups. It lives in a module of its own, so that
// none of it reaches the product's go.mod.
//
//	idp -listen 127.0.0.1:9000 -people people.json
//	idp -as ann -password secret http://...            a browser: signs in at an authorization URL
//	idp -as ann -password secret -code ABCD http://... a browser: allows a device
//
// people.json is a list of Person. Any change of the file counts at the next
// token, so that a test can move somebody out of a group.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Person is somebody who can log in. Name is also the subject.
type Person struct {
	Name       string         `json:"name"`
	Email      string         `json:"email"`
	Unverified bool           `json:"unverified"`
	Password   string         `json:"password"`
	Groups     []string       `json:"groups"`
	Claims     map[string]any `json:"claims"`
	// GroupsAt is where the groups claim stands: "" for both, "userinfo", "id_token".
	GroupsAt string `json:"groups_at"`
}

// people reads the file anew for each question.
type people struct{ path string }

func (p people) find(match func(Person) bool) *Person {
	data, err := os.ReadFile(p.path)
	if err != nil {
		return nil
	}
	var all []Person
	if json.Unmarshal(data, &all) != nil {
		return nil
	}
	for _, one := range all {
		if match(one) {
			return &one
		}
	}
	return nil
}

func (p people) GetUserByID(id string) *storage.User {
	one := p.find(func(q Person) bool { return q.Name == id })
	if one == nil {
		return nil
	}
	return &storage.User{ID: one.Name, Username: one.Name, Password: one.Password, FirstName: one.Name,
		Email: one.Email, EmailVerified: !one.Unverified}
}
func (p people) GetUserByUsername(name string) *storage.User { return p.GetUserByID(name) }
func (p people) ExampleClientID() string                     { return "service" }

// client is the native, public client of the command line: code with PKCE,
// refresh, device flow, and an ID token that says who it is.
type client struct{ *storage.Client }

func (c client) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken, oidc.GrantTypeDeviceCode}
}
func (c client) IDTokenUserinfoClaimsAssertion() bool { return true }
func (c client) IsScopeAllowed(scope string) bool     { return scope == "groups" }

// store adds groups and claims to what the library's example storage tells.
type store struct {
	*storage.Storage
	people people
}

func (s store) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := s.Storage.GetClientByClientID(ctx, id)
	if plain, ok := c.(*storage.Client); ok {
		return client{plain}, err
	}
	return c, err
}

func (s store) add(info *oidc.UserInfo, subject, where string, scopes []string) {
	one := s.people.find(func(q Person) bool { return q.Name == subject })
	if one == nil {
		return
	}
	for k, v := range one.Claims {
		info.AppendClaims(k, v)
	}
	if slices.Contains(scopes, "groups") && (one.GroupsAt == "" || one.GroupsAt == where) {
		info.AppendClaims("groups", one.Groups)
	}
}

func (s store) SetUserinfoFromRequest(ctx context.Context, info *oidc.UserInfo, token op.IDTokenRequest, scopes []string) error {
	err := s.Storage.SetUserinfoFromScopes(ctx, info, token.GetSubject(), token.GetClientID(), scopes)
	if err == nil {
		err = s.Storage.SetUserinfoFromRequest(ctx, info, token, scopes)
	}
	s.add(info, token.GetSubject(), "id_token", scopes)
	return err
}

func (s store) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, tokenID, subject, origin string) error {
	err := s.Storage.SetUserinfoFromToken(ctx, info, tokenID, subject, origin)
	s.add(info, subject, "userinfo", []string{"groups"})
	return err
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "loopback address")
	file := flag.String("people", "people.json", "who can log in")
	id := flag.String("client", "sallyport", "client id of the command line")
	as := flag.String("as", "", "be the browser of this person instead")
	password := flag.String("password", "", "of -as")
	code := flag.String("code", "", "the device's user code")
	answer := flag.String("answer", "allowed", "to the device: allowed or denied")
	flag.Parse()
	var err error
	switch w := newWalk(*as, *password); {
	case *as == "":
		err = run(*listen, *file, *id)
	case *code != "":
		err = w.device(flag.Arg(0), *code, *answer)
	default:
		_, err = w.signIn(flag.Arg(0))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "idp:", err)
		os.Exit(1)
	}
}

func run(listen, file, id string) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	if !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
		return errors.New("this provider keeps passwords in clear and listens on loopback alone")
	}
	issuer := "http://" + l.Addr().String()
	storage.RegisterClients(storage.NativeClient(id, "http://127.0.0.1/callback", "http://localhost/callback", "http://[::1]/callback"))
	who := people{file}
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	server := &http.Server{Handler: exampleop.SetupServer(issuer, store{storage.NewStorage(who), who}, logger, false)}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { server.Close() })
	fmt.Println("ready", issuer)
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

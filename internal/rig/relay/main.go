// Command relay is the bare relay that benchmarks compare the proxy with: one
// x/crypto server leg, one x/crypto client leg, io.Copy with its own buffers
// between them. It decides nothing, records nothing, lets everybody in and
// verifies no host key, and so must never leave loopback.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"sync"

	"golang.org/x/crypto/ssh"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address for clients; loopback alone")
	node := flag.String("node", "", "host:port of the node's sshd")
	login := flag.String("login", "", "login on the node; empty takes the client's user name")
	key := flag.String("key", "", "file of the private key for the node")
	certificate := flag.String("certificate", "", "file of that key's certificate, if the node wants one")
	flag.Parse()

	r := relay{node: *node, login: *login, up: must(loadKey(*key, *certificate))}
	l := must(net.Listen("tcp", *listen))
	if !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
		log.Fatal("the bare relay serves loopback alone")
	}
	r.down.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }
	r.down.AddHostKey(r.up.plain)
	fmt.Println("listening on", l.Addr())
	for {
		go r.serve(must(l.Accept()))
	}
}

// relay is what all its connections share.
type relay struct {
	node, login string
	up          keys
	down        ssh.ServerConfig
}

// keys are the key for the node, bare and with its certificate. The bare one is
// also the relay's host key.
type keys struct{ plain, login ssh.Signer }

func loadKey(path, certificate string) (k keys, err error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return k, err
	}
	if k.plain, err = ssh.ParsePrivateKey(pem); err != nil || certificate == "" {
		k.login = k.plain
		return k, err
	}
	line, err := os.ReadFile(certificate)
	if err != nil {
		return k, err
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(line)
	if err != nil {
		return k, err
	}
	k.login, err = ssh.NewCertSigner(public.(*ssh.Certificate), k.plain)
	return k, err
}

func (r *relay) serve(c net.Conn) {
	defer c.Close()
	down, downChannels, downRequests, err := ssh.NewServerConn(c, &r.down)
	if err != nil {
		return
	}
	login := r.login
	if login == "" {
		login = down.User()
	}
	tcp, err := net.Dial("tcp", r.node)
	if err != nil {
		log.Print(err)
		return
	}
	up, upChannels, upRequests, err := ssh.NewClientConn(tcp, r.node, &ssh.ClientConfig{
		User: login, Auth: []ssh.AuthMethod{ssh.PublicKeys(r.up.login)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		log.Print(err)
		return
	}
	defer up.Close()
	go requests(upRequests, down)
	go requests(downRequests, up)
	go channels(upChannels, down)
	channels(downChannels, up)
}

func requests(in <-chan *ssh.Request, to ssh.Conn) {
	for r := range in {
		ok, data, err := to.SendRequest(r.Type, r.WantReply, r.Payload)
		r.Reply(ok && err == nil, data)
	}
}

func channels(in <-chan ssh.NewChannel, to ssh.Conn) {
	for n := range in {
		go channel(n, to)
	}
}

func channel(n ssh.NewChannel, to ssh.Conn) {
	far, farRequests, err := to.OpenChannel(n.ChannelType(), n.ExtraData())
	if err != nil {
		n.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	near, nearRequests, err := n.Accept()
	if err != nil {
		far.Close()
		return
	}
	var output sync.WaitGroup
	output.Go(func() { io.Copy(near, far) })
	output.Go(func() { io.Copy(near.Stderr(), far.Stderr()) })
	go func() { io.Copy(far, near); far.CloseWrite() }()
	go func() {
		for r := range nearRequests {
			ok, err := far.SendRequest(r.Type, r.WantReply, r.Payload)
			r.Reply(ok && err == nil, nil)
		}
		far.Close()
	}()
	for r := range farRequests {
		if r.Type == "exit-status" || r.Type == "exit-signal" {
			output.Wait()
		}
		ok, err := near.SendRequest(r.Type, r.WantReply, r.Payload)
		r.Reply(ok && err == nil, nil)
	}
	output.Wait()
	near.CloseWrite()
	near.Close()
}

func must[V any](v V, err error) V {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

package host

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUsableNameserver(t *testing.T) {
	for text, want := range map[string]bool{
		"nameserver 10.0.0.1\n": true, "# nameserver 10.0.0.1\n": false, "nameserver 127.0.0.53\n": false,
		"search example\nnameserver ::1\nnameserver fd00::1\n": true, "nameserver\n": false, "": false,
	} {
		if usableNameserver(text) != want {
			t.Errorf("%q: want %v", text, want)
		}
	}
}

func TestConfiguredResolvConfMustExist(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	if _, err := ResolvConf(path); err == nil || !strings.Contains(err.Error(), "resolv-conf") {
		t.Error(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := ResolvConf(path); err != nil || got != path {
		t.Errorf("%s %v", got, err)
	}
}

func TestNotifySpeaksToSystemdAndChildrenCannot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	restore := HideNotify()
	if os.Getenv("NOTIFY_SOCKET") != "" {
		t.Error("children would inherit the socket")
	}
	restore()
	if err := Notify("READY=1"); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 64)
	n, err := socket.Read(buffer)
	if err != nil || string(buffer[:n]) != "READY=1" {
		t.Errorf("%q %v", buffer[:n], err)
	}
}

package host

import (
	"net"
	"os"
)

// Notify tells systemd about this service (READY=1, STOPPING=1). Without systemd it does nothing.
func Notify(state string) error {
	address := os.Getenv("NOTIFY_SOCKET")
	if address == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(state))
	return err
}

// HideNotify keeps the notification socket from children, which must not speak for the service.
func HideNotify() (restore func()) {
	address := os.Getenv("NOTIFY_SOCKET")
	os.Unsetenv("NOTIFY_SOCKET")
	return func() { os.Setenv("NOTIFY_SOCKET", address) }
}

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// sockets holds one server a resource; all are made again when the kubelet is another one.
type sockets struct {
	kubelet uint64
	servers map[string]*server
}

// server offers the devices of one resource on a socket of its own.
type server struct {
	api.UnimplementedDevicePluginServer
	resource string
	grpc     *grpc.Server
	mutex    sync.Mutex
	changed  chan struct{}
	devices  []string
	one      bool
}

func newSockets() *sockets {
	return &sockets{servers: map[string]*server{}}
}

// offer makes the kubelet know these devices by resource, and none of others that it knew.
func (s *sockets) offer(devices map[string][]string, one bool) error {
	info, err := os.Stat(api.KubeletSocket)
	if err != nil {
		return err
	}
	// A kubelet that starts removes every socket beside its own.
	if inode := info.Sys().(*syscall.Stat_t).Ino; inode != s.kubelet {
		for _, each := range s.servers {
			each.grpc.Stop()
		}
		s.kubelet, s.servers = inode, map[string]*server{}
	}
	for resource := range s.servers {
		if _, stays := devices[resource]; !stays {
			s.servers[resource].set(nil, one)
		}
	}
	for resource, ids := range devices {
		each := s.servers[resource]
		if each == nil && len(ids) == 0 {
			continue
		}
		if each == nil {
			if each, err = serve(resource); err != nil {
				return err
			}
			s.servers[resource] = each
		}
		each.set(ids, one)
	}
	return nil
}

// serve starts a server and tells the kubelet of it.
func serve(resource string) (*server, error) {
	name := "aiplat-simulated-" + strings.ReplaceAll(resource, "/", "_") + ".sock"
	path := filepath.Join(api.DevicePluginPath, name)
	os.Remove(path)
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	made := &server{resource: resource, grpc: grpc.NewServer(), changed: make(chan struct{})}
	api.RegisterDevicePluginServer(made.grpc, made)
	go made.grpc.Serve(listener)
	connection, err := grpc.NewClient("unix://"+api.KubeletSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	limit, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	request := &api.RegisterRequest{Version: api.Version, Endpoint: name, ResourceName: resource, Options: &api.DevicePluginOptions{}}
	if _, err := api.NewRegistrationClient(connection).Register(limit, request); err != nil {
		made.grpc.Stop()
		return nil, err
	}
	return made, nil
}

func (s *server) set(devices []string, one bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if reflect.DeepEqual(s.devices, devices) && s.one == one {
		return
	}
	s.devices, s.one = devices, one
	close(s.changed)
	s.changed = make(chan struct{})
}

// ListAndWatch sends the devices, and again whenever they are others.
func (s *server) ListAndWatch(_ *api.Empty, stream grpc.ServerStreamingServer[api.ListAndWatchResponse]) error {
	for {
		s.mutex.Lock()
		devices, changed := s.devices, s.changed
		s.mutex.Unlock()
		told := &api.ListAndWatchResponse{}
		for _, id := range devices {
			told.Devices = append(told.Devices, &api.Device{ID: id, Health: api.Healthy})
		}
		if err := stream.Send(told); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return nil
		}
	}
}

// Allocate gives containers nothing but the names of what they would have.
func (s *server) Allocate(_ context.Context, request *api.AllocateRequest) (*api.AllocateResponse, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	response := &api.AllocateResponse{}
	for _, container := range request.ContainerRequests {
		ids := container.DevicesIds
		if s.one && len(ids) > 1 {
			return nil, fmt.Errorf("request for '%s: %d' too large: maximum request size for shared resources is 1", s.resource, len(ids))
		}
		response.ContainerResponses = append(response.ContainerResponses, &api.ContainerAllocateResponse{
			Envs: map[string]string{"AIPLAT_SIMULATED_GPU": strings.Join(ids, ",")},
		})
	}
	return response, nil
}

module aiplat.dev/simulated-gpus

go 1.26.6

require (
	google.golang.org/grpc v1.85.0
	k8s.io/kubelet v0.36.3
)

require (
	golang.org/x/net v0.61.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260825221802-da73d73af1c5 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

// A cloud controller manager as a provider builds it from k8s.io/cloud-provider, for a cloud that has no machines of its
// own: it takes every node for one of its instances, and gives load balancers addresses that nobody answers at.
package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"os"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	cloudprovider "k8s.io/cloud-provider"
	api "k8s.io/cloud-provider/api"
	"k8s.io/cloud-provider/app"
	"k8s.io/cloud-provider/app/config"
	"k8s.io/cloud-provider/names"
	"k8s.io/cloud-provider/options"
	"k8s.io/component-base/cli"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/klog/v2"
)

const provider = "tests"

func main() {
	cloudprovider.RegisterCloudProvider(provider, func(io.Reader) (cloudprovider.Interface, error) { return cloud{}, nil })
	opts, err := options.NewCloudControllerManagerOptions()
	if err != nil {
		klog.Fatal(err)
	}
	command := app.NewCloudControllerManagerCommand(opts, start, app.DefaultInitFuncConstructors,
		names.CCMControllerAliases(), cliflag.NamedFlagSets{}, wait.NeverStop)
	os.Exit(cli.Run(command))
}

func start(config *config.CompletedConfig) cloudprovider.Interface {
	settings := config.ComponentConfig.KubeCloudShared.CloudProvider
	cloud, err := cloudprovider.InitCloudProvider(settings.Name, settings.CloudConfigFile)
	if err != nil || cloud == nil {
		klog.Fatalf("cloud provider %q: %v", settings.Name, err)
	}
	return cloud
}

// cloud is all of the provider: nothing is kept, everything follows from what is asked about.
type cloud struct{}

func (cloud) Initialize(cloudprovider.ControllerClientBuilder, <-chan struct{}) {}
func (c cloud) LoadBalancer() (cloudprovider.LoadBalancer, bool)                { return c, true }
func (cloud) Instances() (cloudprovider.Instances, bool)                        { return nil, false }
func (c cloud) InstancesV2() (cloudprovider.InstancesV2, bool)                  { return c, true }
func (cloud) Zones() (cloudprovider.Zones, bool)                                { return nil, false }
func (cloud) Clusters() (cloudprovider.Clusters, bool)                          { return nil, false }
func (cloud) Routes() (cloudprovider.Routes, bool)                              { return nil, false }
func (cloud) ProviderName() string                                              { return provider }
func (cloud) HasClusterID() bool                                                { return true }

func (cloud) InstanceExists(context.Context, *v1.Node) (bool, error)   { return true, nil }
func (cloud) InstanceShutdown(context.Context, *v1.Node) (bool, error) { return false, nil }

// InstanceMetadata tells the address that the kubelet was started with, as a cloud that knows its machines would.
func (cloud) InstanceMetadata(_ context.Context, node *v1.Node) (*cloudprovider.InstanceMetadata, error) {
	address := node.Annotations[api.AnnotationAlphaProvidedIPAddr]
	if address == "" {
		return nil, fmt.Errorf("node %s tells no address", node.Name)
	}
	return &cloudprovider.InstanceMetadata{
		ProviderID:   provider + "://" + node.Name,
		InstanceType: "small",
		Zone:         "zone-1",
		Region:       "region-1",
		NodeAddresses: []v1.NodeAddress{
			{Type: v1.NodeInternalIP, Address: address},
			{Type: v1.NodeHostName, Address: node.Name},
			{Type: v1.NodeExternalDNS, Address: node.Name + ".cloud.test"},
		},
	}, nil
}

// balancer is the address of a Service's load balancer, in a network for documentation (RFC 5737).
func balancer(service *v1.Service) *v1.LoadBalancerStatus {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(service.UID))
	address := fmt.Sprintf("203.0.113.%d", 1+sum.Sum32()%254)
	return &v1.LoadBalancerStatus{Ingress: []v1.LoadBalancerIngress{{IP: address}}}
}

func (cloud) GetLoadBalancer(_ context.Context, _ string, service *v1.Service) (*v1.LoadBalancerStatus, bool, error) {
	return balancer(service), true, nil
}

func (cloud) GetLoadBalancerName(_ context.Context, _ string, service *v1.Service) string {
	return cloudprovider.DefaultLoadBalancerName(service)
}

func (cloud) EnsureLoadBalancer(_ context.Context, _ string, service *v1.Service, _ []*v1.Node) (*v1.LoadBalancerStatus, error) {
	return balancer(service), nil
}

func (cloud) UpdateLoadBalancer(context.Context, string, *v1.Service, []*v1.Node) error { return nil }

func (cloud) EnsureLoadBalancerDeleted(context.Context, string, *v1.Service) error { return nil }

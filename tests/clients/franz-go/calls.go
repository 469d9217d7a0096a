// 100 calls at once and one that fails.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type cause struct {
	partition int32
	offset    int64
}

type reply struct {
	Sequence    string
	First, Last int64
	Error       *struct{ Code, Message string }
	Partition   int32
	Offset      int64
}

func main() {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(os.Getenv("KAFKA_BROKERS"), ",")...),
		kgo.ConsumeTopics("sequencer.replies"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AfterMilli(time.Now().Add(-time.Minute).UnixMilli())),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	ctx := context.Background()
	var requests []*kgo.Record
	for call := range 101 {
		key := fmt.Sprintf("%s-%d", os.Args[1], call%5)
		request := &kgo.Record{Topic: "sequencer.requests", Key: []byte(key)}
		if call == 100 {
			request.Value = []byte(`{"count":0}`)
		}
		requests = append(requests, request)
	}
	if err := client.ProduceSync(ctx, requests...).FirstErr(); err != nil {
		log.Fatal(err)
	}
	calls := map[cause]int{}
	for call, request := range requests {
		calls[cause{request.Partition, request.Offset}] = call
	}
	for len(calls) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			log.Fatal(err)
		}
		for _, record := range fetches.Records() {
			var reply reply
			if err := json.Unmarshal(record.Value, &reply); err != nil {
				log.Fatal(err)
			}
			call, ours := calls[cause{reply.Partition, reply.Offset}]
			if !ours {
				continue
			}
			delete(calls, cause{reply.Partition, reply.Offset})
			if reply.Error != nil {
				fmt.Printf("{\"call\":%d,\"error\":%q}\n", call, reply.Error.Code)
			} else {
				fmt.Printf("{\"call\":%d,\"name\":%q,\"first\":%d,\"last\":%d}\n",
					call, reply.Sequence, reply.First, reply.Last)
			}
		}
	}
}

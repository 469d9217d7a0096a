// Asks for an ID of the sequence that its argument names, and prints it.
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

type reply struct {
	First     int64
	Partition int32
	Offset    int64
	Error     *struct{ Code, Message string }
}

func main() {
	brokers := os.Getenv("KAFKA_BROKERS")
	if brokers == "" {
		brokers = "localhost:9092"
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(brokers, ",")...),
		kgo.ConsumeTopics("sequencer.replies"),
		// From a moment before the request, whatever the two clocks say.
		kgo.ConsumeResetOffset(kgo.NewOffset().AfterMilli(time.Now().Add(-time.Minute).UnixMilli())),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	ctx := context.Background()
	request := &kgo.Record{Topic: "sequencer.requests", Key: []byte(os.Args[1])}
	if err := client.ProduceSync(ctx, request).FirstErr(); err != nil {
		log.Fatal(err)
	}
	// A reply names the record that it answers.
	for {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			log.Fatal(err)
		}
		for _, record := range fetches.Records() {
			var reply reply
			if err := json.Unmarshal(record.Value, &reply); err != nil {
				log.Fatal(err)
			}
			if reply.Partition != request.Partition || reply.Offset != request.Offset {
				continue
			}
			if reply.Error != nil {
				log.Fatal(reply.Error.Message)
			}
			fmt.Println(reply.First)
			return
		}
	}
}

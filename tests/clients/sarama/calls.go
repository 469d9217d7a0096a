// 100 calls at once and one that fails.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
	"sync"

	"github.com/IBM/sarama"
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
	config := sarama.NewConfig()
	config.Producer.Return.Successes = true
	client, err := sarama.NewClient(strings.Split(os.Getenv("KAFKA_BROKERS"), ","), config)
	check(err)
	defer client.Close()

	consumer, err := sarama.NewConsumerFromClient(client)
	check(err)
	partitions, err := consumer.Partitions("sequencer.replies")
	check(err)
	replies := make(chan *sarama.ConsumerMessage)
	for _, partition := range partitions {
		reader, err := consumer.ConsumePartition("sequencer.replies", partition, sarama.OffsetNewest)
		check(err)
		go func() {
			for message := range reader.Messages() {
				replies <- message
			}
		}()
	}

	producer, err := sarama.NewSyncProducerFromClient(client)
	check(err)
	calls := map[cause]int{}
	var lock sync.Mutex
	var sent sync.WaitGroup
	for call := range 101 {
		sent.Add(1)
		go func() {
			defer sent.Done()
			message := &sarama.ProducerMessage{
				Topic: "sequencer.requests",
				Key:   sarama.StringEncoder(fmt.Sprintf("%s-%d", os.Args[1], call%5)),
			}
			if call == 100 {
				message.Value = sarama.StringEncoder(`{"count":0}`)
			}
			partition, offset, err := producer.SendMessage(message)
			check(err)
			lock.Lock()
			defer lock.Unlock()
			calls[cause{partition, offset}] = call
		}()
	}
	sent.Wait()
	for len(calls) > 0 {
		message := <-replies
		var reply reply
		check(json.Unmarshal(message.Value, &reply))
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

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

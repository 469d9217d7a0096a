// Asks for an ID of the sequence that its argument names, and prints it.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/IBM/sarama"
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
	config := sarama.NewConfig()
	config.Producer.Return.Successes = true
	client, err := sarama.NewClient(strings.Split(brokers, ","), config)
	check(err)
	defer client.Close()

	// Read from where the topic ends now, before the request is sent.
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
	partition, offset, err := producer.SendMessage(&sarama.ProducerMessage{
		Topic: "sequencer.requests",
		Key:   sarama.StringEncoder(os.Args[1]),
	})
	check(err)
	// A reply names the record that it answers.
	for message := range replies {
		var reply reply
		check(json.Unmarshal(message.Value, &reply))
		if reply.Partition != partition || reply.Offset != offset {
			continue
		}
		if reply.Error != nil {
			log.Fatal(reply.Error.Message)
		}
		fmt.Println(reply.First)
		return
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

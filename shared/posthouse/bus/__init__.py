"""THE ROADS: RabbitMQ, and the questions that are asked over streams; the only room that speaks AMQP."""

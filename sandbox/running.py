"""The sandbox that runs, for what stands in for moto's methods. A process runs only one: it has one moto."""

sandbox = None

"""What a person writes with `import cnnkit`: mypy checks its types, and nothing runs it."""

import cnnkit

config = cnnkit.load_config("fast", {"model.pooling": "avg"})
config = cnnkit.Config(model={"pooling": "avg"}, tracking=["mlflow"])
images = cnnkit.load_images(config)
run = cnnkit.train(config, out="runs/avg")
accuracy: float = run.evaluate("test").accuracy + run.result.test_accuracy
losses: list[float] = [epoch.train_loss for epoch in run.metrics]
answers: list[str] = [image.best for image in run.predict(["one.png"]) + run.predict(images.test.images)]
parameters = cnnkit.build_model(config, images.train).parameters()
study = cnnkit.compare(config, {"model.pooling": ["max", "avg"]}, seeds=10, out="studies/a")
verdicts: list[str] = [pair.verdict for pair in study.pairs]
means: list[float] = [level.accuracy.mean for level in study.verify().levels]
shown: list[str] = [study.report().name, study.results.key, str(study), repr(run)]

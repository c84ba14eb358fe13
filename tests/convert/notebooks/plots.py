"""Progression of diabetes: a script as people write them, with plots."""

import matplotlib.pyplot as plt
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split

X, y = load_diabetes(return_X_y=True, as_frame=True)

fig, axes = plt.subplots(1, 2, figsize=(8, 3))
axes[0].hist(y)
axes[1].scatter(X["bmi"], y)

N_TREES = 40
X = X.drop(columns=["s1", "s2"])
X["bmi_x_bp"] = X["bmi"] * X["bp"]
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=0)

model = GradientBoostingRegressor(n_estimators=N_TREES, learning_rate=0.1, max_depth=2, random_state=0)
model.fit(X_train, y_train)
y_pred = model.predict(X_test)
print("r2", r2_score(y_test, y_pred))

plt.figure()
plt.barh(X_train.columns, model.feature_importances_)
plt.tight_layout()
